//! The batches of a training: the samples of an order, gathered.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use sae_kernels::{Isa, MatrixMut};

use crate::compute::{Engine, available_memory};
use crate::data::gather::gather_rows;
use crate::data::order::Order;
use crate::data::samples::{Samples, SamplesOf};
use crate::data::targets::{gather_pairs, of_target};
use crate::error::Result;

/// One batch after another, gathered when it is asked for by all threads, or some ahead by a thread of its
/// own: where the data do not fit in memory, or their source may wait.
#[derive(Debug)]
pub(crate) struct Batches {
    samples: Samples,
    from: From,
}

#[derive(Debug)]
enum From {
    Order(Order),
    Reader(Reader),
}

/// Of a batch, what is gathered, and how far ahead.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Samples of a batch.
    pub samples: usize,
    /// Those that are gathered.
    pub part: Range<usize>,
    /// Batches that memory is asked for before they are gathered; 0 to gather when a batch is asked for.
    pub ahead: usize,
    pub isa: Isa,
}

/// How far ahead of the training batches of this number of samples are read, where the data need it; 0 where
/// they do not.
pub(crate) fn batches_ahead(samples: &SamplesOf<'_>, batch: usize) -> usize {
    /// Samples that are on their way: enough to keep a disk busy.
    const SAMPLES: usize = 1 << 13;
    // Memory is asked for only where there are files: this is called for every evaluation, too.
    let fits = |bytes| bytes == 0 || available_memory().is_none_or(|available| bytes <= available);
    match samples.resident_bytes().is_some_and(fits) {
        true => 0,
        false => (SAMPLES / batch).clamp(2, 256),
    }
}

impl Batches {
    pub fn new(samples: Samples, order: Order, plan: Plan) -> Self {
        let from = match plan.ahead {
            0 => From::Order(order),
            _ => From::Reader(Reader::start(samples.clone(), order, plan)),
        };
        Batches { samples, from }
    }

    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Fills `rows` with the numbers of the next batch's samples, `batch` with those of its part,
    /// scaled, and `targets` with their targets, if they have any.
    ///
    /// # Errors
    /// As for [`gather_pairs`]. The next call gives the next batch.
    pub fn next(
        &mut self,
        engine: &mut Engine,
        rows: &mut [usize],
        part: Range<usize>,
        [batch, targets]: [&mut Vec<f32>; 2],
    ) -> Result<()> {
        match &mut self.from {
            From::Order(order) => {
                order.next(rows);
                gather_pairs(engine, &self.samples, &rows[part], [batch, targets])
            }
            From::Reader(reader) => reader.next(rows, [batch, targets]),
        }
    }

    /// The number of the epoch, from 0, and the samples of it that were given out.
    pub fn position(&self) -> (u64, usize) {
        match &self.from {
            From::Order(order) => order.position(),
            From::Reader(reader) => reader.place,
        }
    }

    /// Continues at a place that [`Batches::position`] returned.
    pub fn seek(&mut self, epoch: u64, position: usize) {
        match &mut self.from {
            From::Order(order) => order.seek(epoch, position),
            From::Reader(reader) => reader.seek(&self.samples, epoch, position),
        }
    }
}

/// A batch on its way.
#[derive(Debug)]
struct Batch {
    rows: Vec<usize>,
    numbers: Vec<f32>,
    targets: Vec<f32>,
    gathered: Result<()>,
    /// The place in the order after it.
    place: (u64, usize),
}

/// Batches at most that memory is asked for before they are gathered.
const MAX_AHEAD: usize = 1 << 12;

/// A thread that gathers batches ahead.
struct Reader {
    plan: Plan,
    /// The place after the last batch that was given out.
    place: (u64, usize),
    /// None while it is restarted.
    thread: Option<(JoinHandle<Order>, Receiver<Batch>, Sender<Batch>)>,
}

impl Reader {
    fn start(samples: Samples, order: Order, plan: Plan) -> Self {
        let place = order.position();
        let mut reader = Reader { plan, place, thread: None };
        reader.resume(samples, order);
        reader
    }

    fn resume(&mut self, samples: Samples, order: Order) {
        self.place = order.position();
        let (ready, batches) = sync_channel(1);
        let (free, used) = channel();
        let length = |samples: &SamplesOf<'_>| self.plan.part.len() * samples.features();
        let lengths = [length(&samples), samples.targets().map_or(0, length)];
        // One that is ready, one that is being gathered.
        for _ in 0..2 {
            let rows = vec![0; self.plan.samples];
            let [numbers, targets] = lengths.map(|length| vec![0.0; length]);
            let batch = Batch { rows, numbers, targets, gathered: Ok(()), place: (0, 0) };
            free.send(batch).expect("the other end is held here");
        }
        let plan = self.plan.clone();
        let read = move || read(&samples, order, &plan, &ready, &used);
        let thread = thread::Builder::new().name("sae-reader".to_owned()).spawn(read);
        let thread = thread.expect("the system starts a thread");
        self.thread = Some((thread, batches, free));
    }

    /// Ends the thread and takes its order.
    fn stop(&mut self) -> Option<Order> {
        let (thread, batches, free) = self.thread.take()?;
        // It ends when it finds nobody who takes a batch or gives memory for one.
        drop((batches, free));
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }

    fn seek(&mut self, samples: &Samples, epoch: u64, position: usize) {
        if let Some(mut order) = self.stop() {
            order.seek(epoch, position);
            self.resume(samples.clone(), order);
        }
    }

    fn next(&mut self, rows: &mut [usize], [numbers, targets]: [&mut Vec<f32>; 2]) -> Result<()> {
        let received = self.thread.as_ref().and_then(|(_, batches, _)| batches.recv().ok());
        let Some(mut batch) = received else {
            // The source has panicked, on the thread: as it would have without one.
            self.stop();
            panic!("the source of the samples has panicked at an earlier step");
        };
        self.place = batch.place;
        let gathered = mem::replace(&mut batch.gathered, Ok(()));
        rows.copy_from_slice(&batch.rows);
        if gathered.is_ok() {
            mem::swap(numbers, &mut batch.numbers);
            mem::swap(targets, &mut batch.targets);
        }
        if let Some((.., free)) = &self.thread {
            // The thread may have ended, with a panic that the next call passes on.
            let _ = free.send(batch);
        }
        gathered
    }
}

/// Gathers batches until nobody takes them. Returns the order.
fn read(
    samples: &SamplesOf<'_>,
    mut order: Order,
    plan: &Plan,
    ready: &SyncSender<Batch>,
    free: &Receiver<Batch>,
) -> Order {
    let mut memory = Vec::new();
    let mut coming: VecDeque<(Vec<usize>, (u64, usize))> = VecDeque::new();
    while let Ok(mut batch) = free.recv() {
        while coming.len() <= plan.ahead.min(MAX_AHEAD) {
            // The lists go round.
            let mut rows = mem::take(&mut batch.rows);
            if rows.is_empty() {
                rows = vec![0; plan.samples];
            }
            order.next(&mut rows);
            order.ahead_of(&rows[plan.part.clone()], |range| samples.read_ahead(range));
            coming.push_back((rows, order.position()));
        }
        let Some((rows, place)) = coming.pop_front() else { break };
        let own = &rows[plan.part.clone()];
        let mut gather = |samples: &SamplesOf<'_>, numbers: &mut [f32]| {
            let out = MatrixMut::new(numbers, own.len(), samples.features());
            gather_rows(plan.isa, samples, own, out, &mut memory).map_err(|(_, error)| error)
        };
        batch.gathered = gather(samples, &mut batch.numbers);
        if let (Ok(()), Some(targets)) = (&batch.gathered, samples.targets()) {
            batch.gathered = gather(targets, &mut batch.targets).map_err(of_target);
        }
        (batch.rows, batch.place) = (rows, place);
        if ready.send(batch).is_err() {
            break;
        }
    }
    order
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some((thread, batches, free)) = self.thread.take() {
            drop((batches, free));
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("plan", &self.plan).field("place", &self.place).finish()
    }
}
