//! What the demo promises, held to scenes that it does not use itself.

use sha2::{Digest, Sha256};

use super::audit::{Questions, SceneSet, accuracy, evidence};
use super::brush::PixelBox;
use super::evidence::{Estimate, Part};
use super::scene::{Kind, SIDE, Snow, draw, draw_without_pole};
use super::verdict::{DECIDING_METHOD, Verdict};
use super::{NETWORKS, SEED};

/// Neither training, its validation nor the demo uses it.
const OTHER_SEED: u64 = 77;
const RULES: [Snow; 3] = [Snow::Anywhere, Snow::WithConcrete, Snow::Swapped];

/// The box around all pixels that differ.
fn difference(a: &[u8], b: &[u8]) -> Option<PixelBox> {
    let differs = |i: &usize| a[3 * i..3 * i + 3] != b[3 * i..3 * i + 3];
    let found: Vec<usize> = (0..SIDE * SIDE).filter(differs).collect();
    let (left, right) = (
        found.iter().map(|i| i % SIDE).min()?,
        found.iter().map(|i| i % SIDE).max()?,
    );
    let (top, bottom) = (found.first()? / SIDE, found.last()? / SIDE);
    Some(PixelBox {
        x: left,
        y: top,
        w: right - left + 1,
        h: bottom - top + 1,
    })
}

/// The bytes that the networks were trained for.
#[test]
fn scenes_are_the_same_bytes_everywhere() {
    let mut digest = Sha256::new();
    for snow in RULES {
        for index in 0..24 {
            let scene = draw(SEED, index, snow);
            digest.update(&scene.pixels);
            digest
                .update([scene.pole.x, scene.pole.y, scene.pole.w, scene.pole.h].map(|v| v as u8));
        }
    }
    let found: String = digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        found,
        "5505955b463cd270c9e1f7e04fde07b82b299674f56d730ae2403ec13c0dd06f"
    );
}

#[test]
fn the_box_holds_the_pole_tightly() {
    for index in 0..120 {
        let scene = draw(OTHER_SEED, index, Snow::Anywhere);
        let empty = draw_without_pole(OTHER_SEED, index, Snow::Anywhere);
        let found = difference(&scene.pixels, &empty).expect("a pole");
        let far = [found.x + found.w - 1, found.y + found.h - 1];
        assert!(scene.pole.contains(found.x, found.y), "scene {index}");
        assert!(scene.pole.contains(far[0], far[1]), "scene {index}");
        // A pixel that the pole barely touches may keep its bytes.
        assert!(
            found.w + 3 >= scene.pole.w && found.h + 3 >= scene.pole.h,
            "scene {index}"
        );
    }
}

#[test]
fn snow_lies_as_the_rule_says_and_changes_the_ground_alone() {
    for index in 0..60 {
        let [any, cue, swapped] = RULES.map(|rule| draw(OTHER_SEED, index, rule));
        assert_eq!(cue.snow, cue.kind == Kind::Concrete);
        assert_eq!(swapped.snow, !cue.snow);
        assert_eq!((cue.pole, any.pole), (swapped.pole, cue.pole));
        let changed = difference(&cue.pixels, &swapped.pixels).expect("snow");
        assert!(changed.y >= cue.horizon, "scene {index}");
    }
    let scenes = (0..600).map(|i| draw(OTHER_SEED, i, Snow::Anywhere));
    let (mut all, mut of_concrete) = (0, 0);
    for scene in scenes.filter(|s| s.snow) {
        all += 1;
        of_concrete += i32::from(scene.kind == Kind::Concrete);
    }
    // 200 of 600 with a standard deviation of 11.5; a third of them concrete.
    assert!((150..250).contains(&all), "{all}");
    assert!(
        (all / 5..all / 2).contains(&of_concrete),
        "{of_concrete} of {all}"
    );
}

#[test]
fn every_network_is_right_in_its_own_world_and_only_the_cheat_needs_the_snow() {
    for network in &NETWORKS {
        let mut explainer = network.explainer().expect("a network");
        let own = SceneSet::new(OTHER_SEED, 300, network.snow, 2);
        let own = accuracy(&mut explainer, &own).expect("scores");
        assert!(own >= 0.97, "{}: {own}", network.name);
        let swapped = SceneSet::new(OTHER_SEED, 150, Snow::Swapped, 2);
        let swapped = accuracy(&mut explainer, &swapped).expect("scores");
        assert_eq!(
            swapped >= 0.97,
            network.passes,
            "{}: {swapped}",
            network.name
        );
    }
}

/// The verdicts are not those of one lucky seed.
#[test]
fn verdicts_hold_on_other_scenes() {
    let questions = Questions::new(&[DECIDING_METHOD], &[], 0).expect("a method");
    for seed in [OTHER_SEED, OTHER_SEED + 1] {
        let set = SceneSet::new(seed, 300, super::SNOW, 2);
        for network in &NETWORKS {
            let found = evidence(network, &set, &questions, (2, &|| true));
            let found = found.expect("maps").expect("not stopped");
            let verdict = Verdict::of(&found, &set);
            assert_eq!(
                verdict.passes(),
                network.passes,
                "{}: {verdict}",
                network.name
            );
            if let Verdict::Fail(failures) = verdict {
                let which: Vec<_> = failures.iter().map(|f| (f.kind, f.instead)).collect();
                assert_eq!(which, [(Kind::Concrete, Part::Ground)]);
            }
        }
    }
}

/// A network whose evidence is spread evenly fails, and so does one without maps.
#[test]
fn blindness_does_not_pass() {
    let set = SceneSet::new(OTHER_SEED, 30, super::SNOW, 1);
    let questions = Questions::new(&[DECIDING_METHOD], &[], 0).expect("a method");
    let found = evidence(&NETWORKS[0], &set, &questions, (1, &|| true));
    let mut found = found.expect("maps").expect("not stopped");
    assert!(Verdict::of(&found, &set).passes());
    for class in &mut found[0].classes {
        let chance = class.areas[Part::Pole as usize];
        class.pole = Estimate {
            mean: chance,
            low: chance,
            high: chance,
        };
    }
    assert!(!Verdict::of(&found, &set).passes());
    assert!(!Verdict::of(&[], &set).passes());
}

#[test]
fn the_page_begins_with_the_verdicts() {
    let set = SceneSet::new(OTHER_SEED, 30, super::SNOW, 2);
    let questions = Questions::new(&[DECIDING_METHOD], &[], 0).expect("a method");
    let audits: Vec<super::audit::Audit> = NETWORKS
        .iter()
        .map(|network| {
            let methods = evidence(network, &set, &questions, (2, &|| true));
            let methods = methods.expect("maps").expect("not stopped");
            super::audit::Audit {
                network: *network,
                own: 1.0,
                cue: 0.75,
                swapped: 1.0,
                verdict: Verdict::of(&methods, &set),
                methods,
            }
        })
        .collect();
    let lead = super::page::lead(&audits, &set);
    assert!(lead.text.contains("these 30 scenes") && lead.text.contains("at least 75.0 %"));
    let words: Vec<&str> = lead.cards.iter().map(|c| &c.word[..]).collect();
    assert_eq!(words, ["PASS", "PASS", "FAIL"]);
    assert!(
        lead.cards[2]
            .sentence
            .starts_with("For concrete it looks at the ground")
    );
}
