//! Workers: each has the model to itself and takes one picture after the
//! other; what they find is written in the order of the data set.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::RunError;
use super::examine::{Examiner, Halt};
use super::inquiry::Inquiry;
use super::manifest::Manifest;
use super::record::{Names, Record};
use super::runner::{Ended, Observe};
use super::shard::{Claim, ShardWriter, is_done};

/// Pictures that may wait for a slower one before them, for each worker.
const AHEAD: u64 = 4;
/// How often a waiting thread looks whether it should stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// A picture to compute.
struct Task {
    /// Its number among all that are computed now.
    turn: u64,
    shard: u64,
    id: u64,
}

/// What is left to do, shared by the workers.
struct Queue<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    shards: VecDeque<u64>,
    current: Option<(u64, Range<u64>)>,
    claims: BTreeMap<u64, Claim>,
    taken: u64,
    written: u64,
    elsewhere: u64,
}

type Found = Result<(Task, Record), RunError>;

/// What threads share.
struct Floor<'a> {
    queue: Mutex<Queue<'a>>,
    /// Told when a picture was written.
    room: Condvar,
    stop: AtomicBool,
    ahead: u64,
}

/// Computes shards with so many workers.
pub fn compute(
    inquiry: &Inquiry,
    manifest: &Manifest,
    folder: &Path,
    todo: Vec<u64>,
    workers: usize,
    observe: &dyn Observe,
) -> Result<Ended, RunError> {
    let workers = workers.max(1);
    let floor = Floor {
        queue: Mutex::new(Queue {
            folder,
            manifest,
            shards: todo.into(),
            current: None,
            claims: BTreeMap::new(),
            taken: 0,
            written: 0,
            elsewhere: 0,
        }),
        room: Condvar::new(),
        stop: AtomicBool::new(false),
        ahead: AHEAD * workers as u64,
    };
    let ended = std::thread::scope(|scope| {
        let (sender, receiver) = channel::<Found>();
        for _ in 0..workers {
            let (floor, sender) = (&floor, sender.clone());
            scope.spawn(move || floor.work(inquiry, &sender));
        }
        drop(sender);
        let mut desk = Desk::new(&floor, manifest, inquiry.names(), observe);
        let done = loop {
            if observe.stopped() {
                floor.halt();
            }
            match receiver.recv_timeout(PATIENCE) {
                Ok(found) => {
                    if let Err(error) = found.and_then(|(task, record)| desk.take(task, record)) {
                        break Err(error);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
        };
        floor.halt_if(done.is_err());
        done.map(|()| desk.ended)
    });
    let mut ended = ended?;
    ended.elsewhere = floor.lock().elsewhere;
    ended.stopped = observe.stopped();
    Ok(ended)
}

/// Halts the others if its thread panics: they would wait for its picture.
struct Alarm<'a, 'b>(&'a Floor<'b>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        self.0.halt_if(std::thread::panicking());
    }
}

impl<'a> Floor<'a> {
    fn lock(&self) -> MutexGuard<'_, Queue<'a>> {
        match self.queue.lock() {
            Ok(queue) => queue,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    fn halt(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.room.notify_all();
    }

    fn halt_if(&self, really: bool) {
        if really {
            self.halt();
        }
    }

    fn work(&self, inquiry: &Inquiry, sender: &Sender<Found>) {
        let _alarm = Alarm(self);
        let mut examiner = match Examiner::new(inquiry, &self.stop) {
            Ok(examiner) => examiner,
            Err(error) => {
                // The desk has gone if an earlier error ended the run.
                let _ = sender.send(Err(error.into()));
                return;
            }
        };
        loop {
            let task = match self.next() {
                Ok(Some(task)) => task,
                Ok(None) => return,
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            let found = match examiner.examine(task.id as usize) {
                Ok(record) => Ok((task, record)),
                Err(Halt::Stopped) => return,
                Err(Halt::Failed(error)) => Err((*error).into()),
            };
            if sender.send(found).is_err() {
                return;
            }
        }
    }

    /// The next picture, as soon as there is room for it; `None` at the end.
    fn next(&self) -> Result<Option<Task>, RunError> {
        let mut queue = self.lock();
        while !self.stop.load(Ordering::Relaxed) {
            if queue.taken < queue.written + self.ahead {
                return queue.next();
            }
            queue = match self.room.wait_timeout(queue, PATIENCE) {
                Ok((queue, _)) => queue,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        Ok(None)
    }
}

impl Queue<'_> {
    fn next(&mut self) -> Result<Option<Task>, RunError> {
        loop {
            if let Some((shard, pictures)) = &mut self.current
                && let Some(id) = pictures.next()
            {
                let turn = self.taken;
                self.taken += 1;
                let shard = *shard;
                return Ok(Some(Task { turn, shard, id }));
            }
            let Some(shard) = self.shards.pop_front() else {
                return Ok(None);
            };
            if let Some(claim) = Claim::take(self.folder, shard)? {
                // Another process may have finished it since.
                if !is_done(self.folder, shard) {
                    let data = &self.manifest.data;
                    let pictures = self.manifest.shards.pictures(shard, data.pictures);
                    self.claims.insert(shard, claim);
                    self.current = Some((shard, pictures));
                }
            } else {
                self.elsewhere += 1;
            }
        }
    }
}

/// Puts records in order and writes them.
struct Desk<'a, 'b> {
    floor: &'a Floor<'b>,
    manifest: &'a Manifest,
    names: Arc<Names>,
    observe: &'a dyn Observe,
    waiting: BTreeMap<u64, (Task, Record)>,
    turn: u64,
    writer: Option<(u64, ShardWriter)>,
    ended: Ended,
}

impl<'a, 'b> Desk<'a, 'b> {
    fn new(
        floor: &'a Floor<'b>,
        manifest: &'a Manifest,
        names: Names,
        observe: &'a dyn Observe,
    ) -> Self {
        Self {
            floor,
            manifest,
            names: Arc::new(names),
            observe,
            waiting: BTreeMap::new(),
            turn: 0,
            writer: None,
            ended: Ended::default(),
        }
    }

    fn take(&mut self, task: Task, record: Record) -> Result<(), RunError> {
        let sample = &record.sample;
        self.observe
            .picture(&sample.file, sample.failure.as_deref());
        self.ended.pictures += 1;
        self.ended.failures += u64::from(sample.failure.is_some());
        self.waiting.insert(task.turn, (task, record));
        while let Some((task, record)) = self.waiting.remove(&self.turn) {
            self.write(&task, &record)?;
            self.turn += 1;
            self.floor.lock().written += 1;
            self.floor.room.notify_all();
        }
        Ok(())
    }

    fn write(&mut self, task: &Task, record: &Record) -> Result<(), RunError> {
        let pictures = self
            .manifest
            .shards
            .pictures(task.shard, self.manifest.data.pictures);
        let mut writer = match self.writer.take() {
            Some((shard, writer)) if shard == task.shard => writer,
            _ => {
                let claim = self.floor.lock().claims.remove(&task.shard);
                let claim = claim.ok_or_else(|| RunError::Damaged {
                    what: format!("shard {}", task.shard),
                    reason: String::from("it was not claimed"),
                })?;
                ShardWriter::new(claim, Arc::clone(&self.names))?
            }
        };
        writer.add(record)?;
        match task.id + 1 == pictures.end {
            true => {
                let seal = writer.commit(&self.manifest.config_hash, pictures.start)?;
                self.observe.shard(&seal);
            }
            false => self.writer = Some((task.shard, writer)),
        }
        Ok(())
    }
}
