// Truth: who lets others go in Rust's standard library. Begins when the file `go` is there, and says of each
// how long the others have waited for it, in milliseconds: "NAME AT-LEAST AT-MOST", from when all of them were
// seen asleep until they were let go, and by their own clocks.
//
//   writer_lets_writer, writer_lets_reader, reader_lets_writer, mutex_lets_go
//   writer_lets_three   two writers and a reader; it wakes one of them only, and all have waited for it
//   second_lets_reader  a writer who had waited, and left it in the lock that writers do
//
// Then "done": two threads have waited for nobody's lock. wait_behind did in a Condvar behind a -1 that became 0
// before who_notifies let it go on, wait_parked in thread::park until who_unparks did.
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

fn sleep_ms(n: u64) {
    thread::sleep(Duration::from_millis(n))
}

fn until(so: impl Fn() -> bool) {
    while !so() {
        sleep_ms(1)
    }
}

fn own_tid() -> u64 {
    let link = fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

fn is_asleep(tid: &AtomicU64) -> bool {
    let tid = tid.load(SeqCst); // once: it may be set at any moment
    tid != 0
        && fs::read_to_string(format!("/proc/self/task/{}/stat", tid)).unwrap().rsplit(") ").next().unwrap().starts_with('S')
}

// What comes after a call keeps it from being a jump.
fn after_all(n: u64) {
    let m = n;
    unsafe { std::ptr::read_volatile(&m) };
}

struct Holder {
    wanted: AtomicU64, // the lock is held: 1
    tids: Vec<AtomicU64>,
    least_ns: AtomicU64,
    most_ns: AtomicU64,
}

impl Holder {
    // In here the lock is held until all have slept for 100 ms.
    fn hold(&self) {
        self.wanted.store(1, SeqCst);
        until(|| self.tids.iter().all(is_asleep));
        let begin = Instant::now();
        sleep_ms(100);
        let held_ns = begin.elapsed().as_nanos() as u64;
        self.least_ns.store(held_ns * self.tids.len() as u64, SeqCst);
    }
    fn want(&self, n: usize, take: &dyn Fn()) {
        until(|| self.wanted.load(SeqCst) == 1);
        self.tids[n].store(own_tid(), SeqCst);
        let begin = Instant::now();
        take();
        self.most_ns.fetch_add(begin.elapsed().as_nanos() as u64, SeqCst);
    }
}

macro_rules! holder {
    ($name:ident, $lock:ty, $take:ident) => {
        #[inline(never)]
        fn $name(lock: &$lock, holder: &Holder) {
            let guard = lock.$take().unwrap();
            holder.hold();
            drop(guard);
            after_all(line!() as u64);
        }
    };
}

holder!(writer_lets_writer, RwLock<u64>, write);
holder!(writer_lets_reader, RwLock<u64>, write);
holder!(reader_lets_writer, RwLock<u64>, read);
holder!(writer_lets_three, RwLock<u64>, write);
holder!(second_lets_reader, RwLock<u64>, write);
holder!(mutex_lets_go, Mutex<u64>, lock);

#[inline(never)]
fn take(n: u64, how: impl Fn()) {
    how();
    after_all(n);
}

// Those of `takes` want the lock while `lets_go` has it.
fn pair<L: Send + Sync + 'static>(name: &str, lock: &Arc<L>, lets_go: fn(&L, &Holder), takes: &[fn(&L)]) {
    let holder = Arc::new(Holder {
        wanted: AtomicU64::new(0),
        tids: takes.iter().map(|_| AtomicU64::new(0)).collect(),
        least_ns: AtomicU64::new(0),
        most_ns: AtomicU64::new(0),
    });
    let threads: Vec<_> = takes
        .iter()
        .enumerate()
        .map(|(n, &how)| {
            let (lock, holder) = (lock.clone(), holder.clone());
            thread::spawn(move || holder.want(n, &|| take(n as u64, || how(&lock))))
        })
        .collect();
    lets_go(lock, &holder);
    for thread in threads {
        thread.join().unwrap()
    }
    let ms = |ns: &AtomicU64| ns.load(SeqCst) as f64 / 1e6;
    println!("{} {:.3} {:.3}", name, ms(&holder.least_ns), ms(&holder.most_ns));
}

fn second_writer(lock: &Arc<RwLock<u64>>) {
    let tid = Arc::new(AtomicU64::new(0));
    let (his, other) = (tid.clone(), lock.clone());
    let first = lock.write().unwrap();
    let second = thread::spawn(move || {
        his.store(own_tid(), SeqCst);
        pair("second_lets_reader", &other, second_lets_reader, &[|l| drop(l.read().unwrap())]);
    });
    until(|| is_asleep(&tid));
    drop(first);
    second.join().unwrap();
}

#[inline(never)]
fn who_notifies(condition: &Condvar) {
    condition.notify_one();
    after_all(1);
}

#[inline(never)]
fn who_unparks(thread: &thread::Thread) {
    thread.unpark();
    after_all(2);
}

#[repr(C)]
struct Behind {
    number: AtomicU64, // its upper half is the word before the condition's
    condition: Condvar,
    mutex: Mutex<bool>,
}

#[inline(never)]
fn wait_behind(behind: &Behind, tid: &AtomicU64) {
    let mut go = behind.mutex.lock().unwrap();
    tid.store(own_tid(), SeqCst);
    while !*go {
        go = behind.condition.wait(go).unwrap();
    }
}

#[inline(never)]
fn wait_parked(tid: &AtomicU64) {
    tid.store(own_tid(), SeqCst);
    thread::park();
    after_all(3);
}

fn no_lock() {
    let tids: Arc<[AtomicU64; 2]> = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let behind =
        Arc::new(Behind { number: AtomicU64::new(u64::MAX), condition: Condvar::new(), mutex: Mutex::new(false) });
    let (b, t) = (behind.clone(), tids.clone());
    let waiter = thread::spawn(move || wait_behind(&b, &t[0]));
    let t = tids.clone();
    let parked = thread::spawn(move || wait_parked(&t[1]));

    until(|| tids.iter().all(is_asleep));
    sleep_ms(50);
    *behind.mutex.lock().unwrap() = true;
    behind.number.store(0, SeqCst);
    who_notifies(&behind.condition);
    who_unparks(parked.thread());
    waiter.join().unwrap();
    parked.join().unwrap();
}

fn main() {
    let lock = Arc::new(RwLock::new(0));
    let write: fn(&RwLock<u64>) = |l| drop(l.write().unwrap());
    let read: fn(&RwLock<u64>) = |l| drop(l.read().unwrap());

    until(|| fs::metadata("go").is_ok());
    pair("writer_lets_writer", &lock, writer_lets_writer, &[write]);
    pair("writer_lets_reader", &lock, writer_lets_reader, &[read]);
    pair("reader_lets_writer", &lock, reader_lets_writer, &[write]);
    pair("writer_lets_three", &lock, writer_lets_three, &[write, write, read]);
    second_writer(&lock);
    pair("mutex_lets_go", &Arc::new(Mutex::new(0)), mutex_lets_go, &[|l| drop(l.lock().unwrap())]);
    no_lock();
    println!("done");
    sleep_ms(3_600_000);
}
