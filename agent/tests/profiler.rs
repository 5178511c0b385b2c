//! The profiler end to end: real timers, real signals, real names.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test reads the clock itself")]
#![expect(unsafe_code, reason = "reads the thread's CPU clock")]

use std::hint::black_box;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use flashlamp::profile::{Column, FrameKind, decode, markers};
use flashlamp::{Clock, Log, Profiler, StartError, Threads};

const MS: Duration = Duration::from_millis(1);

/// Spins until the thread has had this much of the processor, however busy the machine is.
#[inline(never)]
fn spin_for(duration: Duration) -> u64 {
    let end = thread_cpu_ns() + u64::try_from(duration.as_nanos()).unwrap();
    let mut value = 1_u64;
    while thread_cpu_ns() < end {
        value = spin_some(value, 20_000);
    }
    value
}

#[inline(never)]
fn spin_some(mut value: u64, rounds: u64) -> u64 {
    for round in 0..rounds {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(round),
        );
    }
    value
}

#[inline(never)]
fn known_light(rounds: u64) -> u64 {
    let value = (0..3).fold(1, |value, _| spin_some(value, rounds));
    black_box(value)
}

#[inline(never)]
fn known_heavy(rounds: u64) -> u64 {
    let value = (0..7).fold(1, |value, _| spin_some(value, rounds));
    black_box(value)
}

fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn process_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live timespec.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

fn total_of(log: &Log, function: &str) -> u64 {
    let rows = log.by_function();
    rows.iter()
        .filter(|row| row.name.ends_with(function))
        .map(|row| row.total)
        .sum()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::yield_now();
    }
}

fn assert_no_bug(log: &Log) {
    assert!(
        !log.losses().contains_key("unaccounted"),
        "{:?}",
        log.losses()
    );
}

#[test]
fn cpu_profile_names_the_function_that_ran() {
    let profiler = Profiler::builder().period(MS).start().unwrap();
    black_box(spin_for(400 * MS));
    let log = profiler.stop();
    assert!(log.len() >= 10, "{} samples", log.len());
    // On a busy machine a CPU timer may not come to its signal.
    let lost = log.losses();
    assert!(
        lost.keys().all(|reason| reason == "undelivered"),
        "{lost:?}"
    );
    let events = log.event_count().as_u64();
    assert!(
        total_of(&log, "profiler::spin_for") * 10 >= events * 9,
        "{}",
        log.folded()
    );
    for entry in &log {
        let stack = entry.stack();
        assert!(stack.len() > 3);
        assert!(
            stack.iter().all(|frame| frame.kind() != FrameKind::Marker),
            "{stack:?}"
        );
        assert!(entry.event_count().as_u64() >= 1);
        assert!(entry.timestamp() >= log.profile().start().unwrap());
        assert!(entry.thread().unwrap().tid > 0);
    }
    let leaf_files = log.iter().filter(|entry| {
        entry.stack()[0]
            .file()
            .is_some_and(|file| file.ends_with("profiler.rs"))
    });
    assert!(
        leaf_files.count() > 0,
        "file and line of the leaf are known"
    );
}

#[test]
fn known_split_is_measured_within_the_binomial_bound() {
    let (mut light, mut heavy, mut squares) = (0, 0, 0);
    // Looks that are as good as independent: one that stands for many periods, as on a busy machine,
    // brings more chance with it than many that stand for one (L. Kish, Survey Sampling, 1965).
    let mut looks = 0.0;
    let mut state = 12_345_u64;
    for _ in 0..4 {
        let profiler = Profiler::builder().period(MS).start().unwrap();
        // By a clock that is read without the kernel: to read the thread's own lets the scheduler
        // note that its slice is over, and then it is always the same function that begins a slice,
        // with a tick, and meets none.
        let end = Instant::now() + 1500 * MS;
        while Instant::now() < end {
            // Pieces of one length, or of multiples of it, fall into step with the kernel's tick:
            // a thread that shares its core runs from one tick to another.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let rounds = 10_000 + (state >> 33) % 70_000;
            known_light(rounds);
            known_heavy(rounds);
        }
        let log = profiler.stop();
        light += total_of(&log, "known_light");
        heavy += total_of(&log, "known_heavy");
        let weights = log.iter().map(|entry| entry.event_count().as_u64());
        squares += weights.map(|weight| weight * weight).sum::<u64>();
        looks = (light + heavy).pow(2) as f64 / squares as f64;
        if looks >= 200.0 {
            break;
        }
    }
    let share = heavy as f64 / (light + heavy) as f64;
    let bound = 5.0 * (0.7 * 0.3 / looks).sqrt();
    println!("{looks:.0} looks, share {share:.4}, bound {bound:.4}");
    assert!(
        (share - 0.7).abs() < bound,
        "{share} is not within {bound} of 0.7"
    );
}

#[test]
fn sum_of_events_is_the_threads_cpu_time() {
    for period in [10 * MS, MS, Duration::from_micros(100)] {
        let profiler = Profiler::builder().period(period).start().unwrap();
        let before = thread_cpu_ns();
        while thread_cpu_ns() < before + 600_000_000 {
            known_light(20_000);
        }
        let spent = thread_cpu_ns() - before;
        let log = profiler.stop();
        assert_no_bug(&log);
        let lost: u64 = log.losses().values().map(|tally| tally.events).sum();
        let nanos = u64::try_from(period.as_nanos()).unwrap();
        let counted = (log.event_count().as_u64() + lost) * nanos;
        println!(
            "{period:?}: counted {counted} of {spent} ns in {} samples",
            log.len()
        );
        let bound = 2 * nanos + 30_000_000 + spent / 20;
        assert!(
            counted.abs_diff(spent) < bound,
            "{period:?}: {counted} against {spent}"
        );
    }
}

/// Whether the kernel gives this process events that count its own part as well. Says so where it
/// does not, and fails where nothing may be skipped.
fn kernel_counts_all() -> bool {
    // `struct perf_event_attr` in its first version: a software event, 64 bytes, the task clock,
    // a period of 1 ms, disabled.
    let attributes: [u64; 8] = [64 << 32 | 1, 1, 1_000_000, 0, 0, 1, 1, 0];
    let call = libc::SYS_perf_event_open;
    // SAFETY: the call reads the attributes, whose size they state; the rest are integers.
    let descriptor = unsafe { libc::syscall(call, attributes.as_ptr(), 0, -1, -1, 8) };
    if descriptor >= 0 {
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(i32::try_from(descriptor).unwrap()) };
        return true;
    }
    let error = std::io::Error::last_os_error();
    assert!(std::env::var_os("CI").is_none(), "perf_event_open: {error}");
    println!("SKIPPED: perf_event_open: {error}");
    false
}

#[test]
fn period_below_the_tick_has_its_samples_where_the_kernel_counts_all() {
    if !kernel_counts_all() {
        return;
    }
    let period = Duration::from_micros(200);
    let profiler = Profiler::builder().period(period).start().unwrap();
    let before = thread_cpu_ns();
    black_box(spin_for(500 * MS));
    let spent = thread_cpu_ns() - before;
    let log = profiler.stop();
    let lost: u64 = log.losses().values().map(|tally| tally.events).sum();
    let counted = log.profile().column_total(Column::Value(0)) + lost * 200_000;
    println!(
        "{} samples, {counted} of {spent} ns, {:?}",
        log.len(),
        log.losses()
    );
    // A tick would give 50 to 500 of them.
    assert!(log.len() as u64 + lost >= 1000, "{} samples", log.len());
    assert!(counted + 5_000_000 >= spent && counted <= spent + 50_000_000);
}

#[test]
fn time_that_a_loop_of_system_calls_spends_in_the_kernel_is_counted() {
    let mut zeros = std::fs::File::open("/dev/zero").unwrap();
    let mut bytes = vec![0; 1 << 16];
    for period in [Duration::from_micros(200), 10 * MS] {
        let profiler = Profiler::builder().period(period).start().unwrap();
        let before = thread_cpu_ns();
        while thread_cpu_ns() < before + 400_000_000 {
            for _ in 0..20 {
                zeros.read_exact(&mut bytes).unwrap();
            }
        }
        let spent = thread_cpu_ns() - before;
        let log = profiler.stop();
        let lost: u64 = log.losses().values().map(|tally| tally.events).sum();
        let lost = lost * u64::try_from(period.as_nanos()).unwrap();
        let counted = log.profile().column_total(Column::Value(0));
        println!("{period:?}: {counted} and lost {lost} of {spent} ns");
        assert!((counted + lost + 40_000_000) * 10 >= spent * 9);
        assert!(total_of(&log, "read_exact") * 2 >= log.event_count().as_u64());
    }
}

#[test]
fn wall_profile_counts_the_time_asleep() {
    let before = Instant::now();
    let profiler = Profiler::builder()
        .clock(Clock::Wall)
        .period(MS)
        .start()
        .unwrap();
    let began = Instant::now();
    let (_sender, receiver) = std::sync::mpsc::channel::<()>();
    assert!(receiver.recv_timeout(300 * MS).is_err());
    let slept = began.elapsed();
    let log = profiler.stop();
    let all = before.elapsed();
    let counted = MS * u32::try_from(log.event_count().as_u64()).unwrap();
    println!("counted {counted:?} of {slept:?}, all {all:?}");
    assert!(
        counted + 20 * MS >= slept && counted <= all + 20 * MS,
        "{counted:?} of {slept:?}, all {all:?}"
    );
    assert!(total_of(&log, "recv_timeout") > 0, "{}", log.folded());
}

#[test]
fn all_threads_are_sampled_and_ours_are_not() {
    let go_on = AtomicBool::new(true);
    let spin = || spin_while(&go_on);
    std::thread::scope(|scope| {
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("early-one").spawn_scoped(scope, spin).unwrap();
        thread("early-two").spawn_scoped(scope, spin).unwrap();
        let profiler = Profiler::builder()
            .period(MS)
            .threads(Threads::All)
            .start()
            .unwrap();
        thread("late-one").spawn_scoped(scope, spin).unwrap();
        let samples_of = |log: &Log, name: &str| {
            log.iter()
                .filter(|entry| entry.thread().is_some_and(|one| one.name == name))
                .count()
        };
        let names = ["early-one", "early-two", "late-one"];
        until("samples of every thread", || {
            let log = profiler.log();
            names.iter().all(|name| samples_of(&log, name) >= 20)
        });
        go_on.store(false, Ordering::Relaxed);
        let log = profiler.stop();
        assert_no_bug(&log);
        for thread in log.profile().threads() {
            assert!(!thread.name.starts_with("flashlamp"), "{thread:?}");
        }
    });
}

#[test]
fn time_of_threads_that_end_before_they_are_found_is_lost_by_that_name() {
    let profiler = Profiler::builder()
        .period(MS)
        .threads(Threads::All)
        .start()
        .unwrap();
    let before = process_cpu_ns();
    for _ in 0..300 {
        let short = std::thread::spawn(|| spin_for(2 * MS));
        black_box(short.join().unwrap());
    }
    let spent = process_cpu_ns() - before;
    let log = profiler.stop();
    let ended = process_cpu_ns() - before;
    let unseen = log.losses().get("unseen").map_or(0, |tally| tally.events);
    let lost: u64 = log.losses().values().map(|tally| tally.events).sum();
    let counted = (log.event_count().as_u64() + lost) * 1_000_000;
    println!("unseen {unseen} ms, counted and lost {counted} of {spent} to {ended} ns");
    // What the profiler's own threads took is in the clock of the process as well.
    assert!(
        unseen >= 300,
        "most threads live 2 ms, and are looked for every 50 ms"
    );
    assert!(counted >= spent / 10 * 8 && counted <= ended + 10_000_000);
    assert_no_bug(&log);
}

#[inline(never)]
fn recurse(depth: u32) -> u64 {
    if depth == 0 {
        return spin_for(200 * MS);
    }
    black_box(recurse(depth - 1)).wrapping_add(1)
}

#[test]
fn deep_stack_is_cut_at_the_root_and_keeps_its_leaf() {
    let profiler = Profiler::builder()
        .period(MS)
        .max_depth(12)
        .start()
        .unwrap();
    black_box(recurse(60));
    let log = profiler.stop();
    let cut = log.profile().truncated();
    assert!(
        cut.samples * 10 >= log.len() as u64 * 9,
        "{cut:?} of {}",
        log.len()
    );
    for entry in &log {
        let stack = entry.stack();
        if stack.last().unwrap().name() == markers::TRUNCATED {
            let code = stack
                .iter()
                .filter(|frame| frame.kind() == FrameKind::Native);
            assert_eq!(code.count(), 12);
            assert!(
                stack.iter().any(|frame| frame.name().ends_with("spin_for")),
                "{stack:?}"
            );
        }
    }
}

#[test]
fn speedscope_ends_where_its_weights_end() {
    let profiler = Profiler::builder().period(MS).start().unwrap();
    black_box(spin_for(150 * MS));
    let text = profiler.stop().speedscope("a name");
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["name"], "a name");
    let profiles = file["profiles"].as_array().unwrap();
    assert!(!profiles.is_empty());
    for profile in profiles {
        let sum: f64 = profile["weights"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(serde_json::Value::as_f64)
            .sum();
        let length =
            profile["endValue"].as_f64().unwrap() - profile["startValue"].as_f64().unwrap();
        assert!((sum - length).abs() < 1.0, "{sum} against {length}");
    }
}

#[test]
fn pprof_holds_what_the_log_holds() {
    let profiler = Profiler::builder().period(MS).start().unwrap();
    black_box(spin_for(150 * MS));
    let log = profiler.stop();
    let again = decode::pprof(&log.pprof(), &flashlamp::profile::Limits::default()).unwrap();
    assert_eq!(again.stored(), log.profile().stored());
    assert_eq!(again.lost(), log.profile().lost());
}

#[test]
fn log_is_a_copy_and_stop_has_it_all() {
    let profiler = Profiler::builder().period(MS).start().unwrap();
    // On a busy machine a CPU timer may take its time.
    let mut first = profiler.log();
    until("a sample", || {
        black_box(spin_for(10 * MS));
        first = profiler.log();
        !first.is_empty()
    });
    until("another one", || {
        black_box(spin_for(10 * MS));
        profiler.log().len() > first.len()
    });
    let last = profiler.stop();
    assert!(first.len() < last.len(), "{} {}", first.len(), last.len());
    assert_eq!(first.period().as_nanos(), 1_000_000);
}

#[test]
fn flush_callback_gets_everything_exactly_once() {
    let (calls, events) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(0_u64)));
    let profiler = Profiler::builder().period(MS).on_flush(10, {
        let (calls, events) = (Arc::clone(&calls), Arc::clone(&events));
        move |log| {
            calls.fetch_add(1, Ordering::SeqCst);
            *events.lock().unwrap() += log.event_count().as_u64();
        }
    });
    let profiler = profiler.start().unwrap();
    let before = thread_cpu_ns();
    until("two flushes", || {
        black_box(spin_for(20 * MS));
        calls.load(Ordering::SeqCst) >= 2
    });
    let flushed = calls.load(Ordering::SeqCst);
    black_box(spin_for(50 * MS));
    let spent = thread_cpu_ns() - before;
    drop(profiler);
    assert!(
        calls.load(Ordering::SeqCst) > flushed,
        "the drop flushes the rest"
    );
    let counted = *events.lock().unwrap() * 1_000_000;
    assert!(
        counted.abs_diff(spent) < 40_000_000 + spent / 10,
        "{counted} against {spent}"
    );
}

#[test]
fn panicking_callback_does_no_harm() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let profiler = Profiler::builder().period(MS).on_flush(5, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        panic!("a bug of the callback");
    });
    let profiler = profiler.start().unwrap();
    until("a second call", || {
        black_box(spin_for(20 * MS));
        calls.load(Ordering::SeqCst) >= 2
    });
    drop(profiler.stop());
}

fn spin_while(go_on: &AtomicBool) {
    while go_on.load(Ordering::Relaxed) {
        known_light(20_000);
    }
}

#[test]
fn thread_that_a_callback_starts_is_sampled() {
    let go_on = Arc::new(AtomicBool::new(true));
    let seen = Arc::new(AtomicBool::new(false));
    let builder = Profiler::builder().period(MS).threads(Threads::All);
    let builder = builder.on_flush(5, {
        let (go_on, seen) = (Arc::clone(&go_on), Arc::clone(&seen));
        let mut started = false;
        move |log: Log| {
            let mut threads = log.profile().threads().iter();
            if threads.any(|thread| thread.name == "from-callback") {
                seen.store(true, Ordering::Relaxed);
            }
            if std::mem::replace(&mut started, true) {
                return;
            }
            let go_on = Arc::clone(&go_on);
            let thread = std::thread::Builder::new().name("from-callback".to_owned());
            thread.spawn(move || spin_while(&go_on)).unwrap();
        }
    });
    let profiler = builder.start().unwrap();
    until("samples of the thread", || {
        black_box(spin_for(5 * MS));
        seen.load(Ordering::Relaxed)
    });
    go_on.store(false, Ordering::Relaxed);
    assert_no_bug(&profiler.stop());
}

#[test]
fn callback_may_drop_its_own_profiler() {
    let shared = Arc::new(Mutex::new(None::<Profiler>));
    let (to, from) = std::sync::mpsc::channel();
    let builder = Profiler::builder().period(MS).on_flush(5, {
        let shared = Arc::clone(&shared);
        move |log: Log| {
            let own = shared.lock().unwrap().take();
            let dropped = own.is_some();
            drop(own);
            to.send((dropped, log.len())).unwrap();
        }
    });
    *shared.lock().unwrap() = Some(builder.start().unwrap());
    until("the drop", || {
        black_box(spin_for(5 * MS));
        from.try_recv().is_ok_and(|(dropped, _)| dropped)
    });
    // The rest follows, and then the thread lets go of the callback.
    let deadline = Instant::now() + Duration::from_secs(20);
    let left = || deadline.saturating_duration_since(Instant::now());
    let mut calls = 0;
    let end = loop {
        match from.recv_timeout(left()) {
            Ok((dropped, _)) => calls += usize::from(!dropped),
            Err(end) => break end,
        }
    };
    assert_eq!(end, std::sync::mpsc::RecvTimeoutError::Disconnected);
    assert!(calls >= 1, "the drop flushes the rest");
}

#[test]
fn flush_takes_the_samples_and_begins_anew() {
    let profiler = Profiler::builder().period(MS).start().unwrap();
    let before = thread_cpu_ns();
    black_box(spin_for(60 * MS));
    let first = profiler.flush();
    black_box(spin_for(60 * MS));
    // Naming the frames, which the stop does afterwards, is not sampled.
    let spent = thread_cpu_ns() - before;
    let second = profiler.stop();
    assert!(!first.is_empty() && !second.is_empty());
    let last = first.iter().map(|entry| entry.timestamp()).max();
    assert!(second.iter().all(|entry| Some(entry.timestamp()) > last));
    let counted = (first.event_count() + second.event_count()).as_u64() * 1_000_000;
    assert!(
        counted.abs_diff(spent) < 40_000_000 + spent / 10,
        "{counted} against {spent}"
    );
}

#[test]
fn callback_may_flush_its_own_profiler() {
    let shared = Arc::new(Mutex::new(Weak::<Profiler>::new()));
    let flushes = Arc::new(AtomicUsize::new(0));
    let builder = Profiler::builder().period(MS).on_flush(1, {
        let (shared, flushes) = (Arc::clone(&shared), Arc::clone(&flushes));
        move |_| {
            if let Some(own) = shared.lock().unwrap().upgrade() {
                drop(own.flush());
                flushes.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let profiler = Arc::new(builder.start().unwrap());
    *shared.lock().unwrap() = Arc::downgrade(&profiler);
    until("the inner flush", || {
        black_box(spin_for(5 * MS));
        flushes.load(Ordering::SeqCst) >= 1
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    let start = |builder: flashlamp::ProfilerBuilder| builder.start().unwrap_err();
    let builder = Profiler::builder;
    assert!(matches!(
        start(builder().period(Duration::ZERO)),
        StartError::PeriodZero
    ));
    let short = start(builder().period(Duration::from_nanos(10)));
    assert!(
        matches!(short, StartError::PeriodTooShort { min_us: 50 }),
        "{short}"
    );
    assert!(matches!(
        start(builder().max_depth(0)),
        StartError::DepthZero
    ));
}

#[test]
fn thread_that_blocks_the_signal_is_told_so() {
    // SAFETY: sigset_t is a C array of integers: all zeroes is valid.
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `mask` is live, and the signal exists.
    unsafe { libc::sigaddset(&raw mut mask, libc::SIGPROF) };
    // SAFETY: changes this thread's mask only.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut()) };
    let error = Profiler::builder().start().unwrap_err();
    assert!(matches!(error, StartError::SignalBlocked), "{error:?}");
    assert!(error.to_string().contains("pthread_sigmask"));
    // All threads together may well have others that can be sampled.
    drop(Profiler::builder().threads(Threads::All).start().unwrap());
    // SAFETY: as above.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const mask, std::ptr::null_mut()) };
    drop(Profiler::builder().start().unwrap());
}

#[test]
fn two_profilers_of_one_thread_do_not_mix() {
    let slow = Profiler::builder().period(20 * MS).start().unwrap();
    let fast = Profiler::builder()
        .period(MS)
        .clock(Clock::Wall)
        .start()
        .unwrap();
    black_box(spin_for(300 * MS));
    let (slow, fast) = (slow.stop(), fast.stop());
    assert!(slow.len() <= 20, "{}", slow.len());
    assert!(fast.len() >= 100, "{}", fast.len());
    assert_no_bug(&slow);
    assert_no_bug(&fast);
}
