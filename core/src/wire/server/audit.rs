//! The audit: the picture is explained and judged as the model's policy says,
//! and before that, if asked for, the policy's own pictures.

use zerocopy::FromBytes;

use super::ask::{Asked, Network};
use super::attend::Shared;
use super::room::{Room, up};
use super::work::Left;
use super::{Desk, Platform, Spent};
use crate::ask::Lend;
use crate::audit::judge::{Judgement, Reason, judge, verdict_code};
use crate::audit::policy::{Case, OnFailure, Policy, Rule};
use crate::audit::record::Event;
use crate::audit::self_test::{self, Subject, Summary, of_error};
use crate::classifier::Score;
use crate::error::Error;
use crate::explain::Outcome;
use crate::explain::hoc::Step;
use crate::mask::Window;
use crate::net::model::Model;
use crate::tensor::Shape;
use crate::wire::fault::Fault;
use crate::wire::message::{End, Ended, Explain, Format};
use crate::wire::question;

/// A picture and what became of it, as a board may show them.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'j> {
    /// The picture's pixels, HWC; nothing of a tensor in model space.
    pub picture: &'j [u8],
    /// Its shape.
    pub shape: Shape,
    /// The map that decided, HWC; nothing where there is none.
    pub map: &'j [f32],
    /// The map's shape.
    pub map_shape: Shape,
    /// The class.
    pub class: usize,
    /// Its name, if the model knows one.
    pub label: Option<&'j str>,
    /// 0 for a pass, else rule and reason:
    /// [`split_code`](crate::audit::judge::split_code).
    pub code: u16,
    /// Share of the evidence inside the region.
    pub inside: f32,
}

/// A model without a policy.
const NO_POLICY: Fault<'static> = Fault::Denied("the model has no policy");

impl Desk<'_> {
    /// The model's policy.
    fn with_policy<R>(
        &self,
        then: impl FnOnce(&Model<'_>, &Policy<'_>) -> R,
    ) -> Result<R, Fault<'static>> {
        let model = self.slots.model()?;
        let policy = Policy::of(&model)?.ok_or(NO_POLICY)?;
        Ok(then(&model, &policy))
    }

    /// Judges the picture by every rule until one fails; with `cases`, the
    /// self-test comes first.
    pub(super) fn audit(
        &mut self,
        cases: bool,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        self.with_policy(|_, _| ())?;
        if cases && let Some(failed) = self.pass_cases(shared)? {
            return Ok(failed);
        }
        let found = self.classify(Score::Probability, shared)?;
        let best = found.target;
        self.tell_answer(&found, shared)?;
        let mut least = Left {
            end: End::Judged(0, 1.0),
            ..found
        };
        let mut number = 0;
        while let Some(count) = self.with_policy(|_, policy| {
            let rule = policy.rule(number + 1)?;
            Some(rule.targets.classes(best).count())
        })? {
            number += 1;
            for index in 0..count {
                let left = self.hold_to(number, index, best, shared)?;
                let End::Judged(code, inside) = left.end else {
                    return Err(Error::Internal.into());
                };
                let failed = code != 0;
                // The last map is the one that still lies there.
                least = Left {
                    end: End::Judged(code, inside),
                    target: best,
                    ..left
                };
                if failed {
                    return Ok(least);
                }
            }
        }
        Ok(least)
    }

    /// The self-test; how it ended if it failed.
    fn pass_cases(&mut self, shared: &Shared<'_>) -> Result<Option<Left>, Fault<'static>> {
        self.slots.check()?;
        let summary = self.ask_cases(shared)?;
        let Summary {
            cases,
            failed,
            first,
        } = summary;
        tell(shared, &Event::SelfTest { cases, failed }, &[], &[])?;
        Ok(first.map(|(_, reason)| Left {
            end: End::Judged(verdict_code(0, reason), 0.0),
            target: 0,
            start: 0,
            shape: Shape::new(0, 0, 0),
            arena: 0,
        }))
    }

    /// Runs every case of the policy in the memory behind the picture.
    fn ask_cases(&mut self, shared: &Shared<'_>) -> Result<Summary, Fault<'static>> {
        let model = self.slots.model()?;
        let policy = Policy::of(&model)?.ok_or(NO_POLICY)?;
        let first = up(self.picture.map_or(0, |picture| picture.length));
        let work = self.work.get_mut(first..).unwrap_or_default();
        let count = model.classes();
        let mut room = Room::new(work);
        let out = room.floats(count)?;
        let mut subject = Painted {
            model: &model,
            memory: room.rest(),
            steps: self.steps,
            boxes: self.boxes,
            shared,
        };
        Ok(self_test::run(&policy, &mut subject, out))
    }

    /// Explains class number `index` of a rule, and judges the map.
    fn hold_to(
        &mut self,
        number: u16,
        index: usize,
        best: usize,
        shared: &Shared<'_>,
    ) -> Result<Left, Fault<'static>> {
        let asked = self.with_policy(|_, policy| {
            let rule = policy.rule(number)?;
            let target = rule.targets.classes(best).nth(index)?;
            Some(rule.explain(target))
        })?;
        let explain = asked.ok_or(Error::Internal)?;
        let left = match self.explain(&explain, Network::Here, shared) {
            Ok(left) => left,
            Err(fault) => return Ok(broken(number, &fault)),
        };
        self.tell_explanation(&explain, &left, shared)?;
        let judgement = self.judge(number, &left)?;
        Ok(Left {
            end: End::Judged(judgement.code(), judgement.inside),
            ..left
        })
    }

    fn judge(&self, number: u16, left: &Left) -> Result<Judgement, Fault<'static>> {
        let map = self.map(left.start, left.shape)?;
        let ram = left.arena.saturating_add(4 * left.shape.len());
        let judged = self.with_policy(|model, policy| {
            let most = policy.limits().ram.map_or(usize::MAX, |ram| ram as usize);
            if ram > most {
                return Ok(Judgement::failed(number, Reason::Memory));
            }
            let rule = policy.rule(number).ok_or(Error::Internal)?;
            judge(&rule, map, left.shape, model.input(), outcome(&left.end))
        });
        Ok(judged??)
    }

    /// A map of this shape in the work's memory.
    fn map(&self, start: usize, shape: Shape) -> Result<&[f32], Error> {
        let bytes = self.work.get(start..).unwrap_or_default();
        let bytes = bytes.get(..4 * shape.len()).ok_or(Error::Internal)?;
        <[f32]>::ref_from_bytes(bytes).map_err(|_| Error::Internal)
    }

    fn pixels(&self) -> &[u8] {
        let length = self.picture.map_or(0, |picture| picture.length);
        self.work.get(..length).unwrap_or_default()
    }

    fn tell_answer(&self, left: &Left, shared: &Shared<'_>) -> Result<(), Error> {
        let scores = self.map(left.start, left.shape)?;
        let class = u16::try_from(left.target).unwrap_or(u16::MAX);
        let score = scores.get(left.target).copied().unwrap_or(0.0);
        let bytes = self.work.get(left.start..).unwrap_or_default();
        let bytes = bytes.get(..4 * scores.len()).unwrap_or_default();
        tell(
            shared,
            &Event::Answer { class, score },
            self.pixels(),
            bytes,
        )
    }

    fn tell_explanation(
        &self,
        explain: &Explain,
        left: &Left,
        shared: &Shared<'_>,
    ) -> Result<(), Error> {
        let class = u16::try_from(left.target).unwrap_or(u16::MAX);
        let mut text = [0; question::ROOM];
        let method = question::spell(explain, &mut text);
        let bytes = self.work.get(left.start..).unwrap_or_default();
        let bytes = bytes.get(..4 * left.shape.len()).unwrap_or_default();
        let event = Event::Explanation { class, method };
        tell(shared, &event, self.pixels(), bytes)
    }

    /// What a judgement comes to once it is known what it took; the board notes
    /// and shows it, and answers on as the policy allows.
    pub(super) fn conclude(
        &mut self,
        ended: Ended<'static>,
        spent: &Spent,
        platform: &mut dyn Platform,
    ) -> Ended<'static> {
        let End::Judged(code, inside) = ended.end else {
            return ended;
        };
        let rules = self.with_policy(|_, policy| (policy.limits(), policy.on_failure()));
        let Ok((limits, on_failure)) = rules else {
            return ended;
        };
        let slow = limits
            .instructions
            .is_some_and(|most| spent.instructions > most)
            || (limits.milliseconds).is_some_and(|most| spent.milliseconds > most.into());
        let code = match code {
            0 if slow => verdict_code(0, Reason::Slow),
            code => code,
        };
        self.show(&ended, code, inside, platform);
        let mut ended = Ended {
            end: End::Judged(code, inside),
            ..ended
        };
        if code != 0 && on_failure != OnFailure::Report {
            self.result = 0..0;
            ended.shape = [0; 3];
        }
        if code != 0 && on_failure == OnFailure::Halt {
            self.slots.retire();
        }
        ended
    }

    fn show(&self, ended: &Ended<'_>, code: u16, inside: f32, platform: &mut dyn Platform) {
        let picture = self.pixels();
        let output = self.work.get(self.result.clone()).unwrap_or_default();
        let class = u16::try_from(ended.target).unwrap_or(u16::MAX);
        let rule = code;
        let event = Event::Verdict {
            class,
            rule,
            inside,
        };
        platform.note(&event, picture, output);
        let is_pixels = self.picture.is_some_and(|p| p.format == Format::Pixels);
        let [h, w, c] = ended.shape.map(|side| side as usize);
        let Ok(model) = self.slots.model() else {
            return;
        };
        platform.judged(&Judged {
            picture: if is_pixels { picture } else { &[] },
            shape: model.input(),
            map: <[f32]>::ref_from_bytes(output).unwrap_or_default(),
            map_shape: Shape::new(h, w, c),
            class: class.into(),
            label: model.label(class.into()),
            code,
            inside,
        });
    }
}

/// Tells the log what happened while the work runs.
fn tell(shared: &Shared<'_>, event: &Event<'_>, input: &[u8], output: &[u8]) -> Result<(), Error> {
    let mut attendant = shared.try_borrow_mut().map_err(|_| Error::Internal)?;
    attendant.platform.note(event, input, output);
    Ok(())
}

/// A rule whose method failed.
fn broken(number: u16, fault: &Fault<'_>) -> Left {
    let reason = fault.error().map_or(Reason::Error, of_error);
    Left {
        end: End::Judged(verdict_code(number, reason), 0.0),
        target: 0,
        start: 0,
        shape: Shape::new(0, 0, 0),
        arena: 0,
    }
}

/// What a method said of its map.
const fn outcome(end: &End<'static>) -> Outcome {
    match *end {
        End::Ok => Outcome::Ok,
        End::Flat => Outcome::Flat,
        End::Partial(done, total) => Outcome::Partial { done, total },
        End::Undefined(why) => Outcome::Undefined(why),
        _ => Outcome::Undefined("no map"),
    }
}

/// The network with its memory, which is painted before every answer.
struct Painted<'c, 'w> {
    model: &'c Model<'c>,
    memory: &'c mut [u8],
    steps: &'c mut [Step],
    boxes: &'c mut [Window],
    shared: &'c Shared<'w>,
}

impl Subject for Painted<'_, '_> {
    fn scores(&mut self, case: &Case<'_>, paint: u8, out: &mut [f32]) -> Result<(), Error> {
        self.memory.fill(paint);
        let normalisation = self.model.normalisation();
        let asked = Asked {
            model: self.model,
            picture: case.picture(&normalisation)?,
            shared: self.shared,
        };
        asked.scores(case.score, out, Room::new(self.memory))
    }

    fn map(
        &mut self,
        case: &Case<'_>,
        rule: &Rule<'_>,
        target: usize,
        paint: u8,
        sink: &mut dyn FnMut(&[f32]),
    ) -> Result<(), Error> {
        self.memory.fill(paint);
        let normalisation = self.model.normalisation();
        let asked = Asked {
            model: self.model,
            picture: case.picture(&normalisation)?,
            shared: self.shared,
        };
        let explain = rule.explain(target);
        let tree = (&mut *self.steps, &mut *self.boxes);
        let left = asked.map(&explain, target, tree, Room::new(self.memory))?;
        let bytes = self.memory.get(left.start..).unwrap_or_default();
        let bytes = bytes.get(..4 * left.shape.len()).ok_or(Error::Internal)?;
        sink(<[f32]>::ref_from_bytes(bytes).map_err(|_| Error::Internal)?);
        Ok(())
    }
}
