use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio::task::JoinSet;

use super::*;
use crate::allowance::AllowanceError;
use crate::store::sqlite::{Options, SqliteStore};

fn readers(folder: &std::path::Path) -> Readers {
    let store = SqliteStore::open(folder, Options::default()).unwrap();
    Readers::new(&Config::new("", folder), Arc::new(store))
}

#[tokio::test]
async fn work_ends_soon_after_the_one_who_asked_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let readers = readers(folder.path());
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (ended, ends) = mpsc::channel();
    let answer = readers.read_within(move |_, allowance| {
        begun.send(()).unwrap();
        while allowance.set(1).is_ok() {
            std::thread::yield_now();
        }
        let why = allowance.set(1);
        ended.send(why).unwrap();
        Ok(why?)
    });
    tokio::select! {
        _ = answer => panic!("it ends only when nobody waits"),
        _ = begins.recv() => {}
    }
    let why = tokio::task::spawn_blocking(move || ends.recv());
    assert_eq!(why.await.unwrap(), Ok(Err(AllowanceError::Unwanted)));
}

#[tokio::test]
async fn a_read_that_goes_on_without_its_client_keeps_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let readers = readers(folder.path());
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let read = readers.read(move |_| {
        begun.send(()).unwrap();
        let _ended = goes_on.recv();
        Ok(())
    });
    tokio::select! {
        _ = read => panic!("it waits to be told"),
        _ = begins.recv() => {}
    }
    assert_eq!(readers.turns.available_permits(), limits::READS_MAX - 1);
    drop(go_on);
    let all = u32::try_from(limits::READS_MAX).unwrap();
    let _all = readers.turns.acquire_many(all).await.unwrap();
}

#[tokio::test]
async fn cheap_looks_wait_for_others_like_them_only() {
    let folder = tempfile::tempdir().unwrap();
    let readers = readers(folder.path());
    let all = u32::try_from(limits::READS_MAX).unwrap();
    let _busy = readers.turns.acquire_many(all).await.unwrap();
    let at_once = Arc::new(AtomicUsize::new(0));
    let mut looks = JoinSet::new();
    for _ in 0..100 {
        let (readers, at_once) = (readers.clone(), Arc::clone(&at_once));
        let look = move |_: &dyn Snapshot| {
            let others = at_once.fetch_add(1, Ordering::SeqCst);
            (0..1_000).for_each(|_| std::thread::yield_now());
            at_once.fetch_sub(1, Ordering::SeqCst);
            Ok(others)
        };
        looks.spawn(async move { readers.probe(look).await });
    }
    while let Some(others) = looks.join_next().await {
        assert!(others.unwrap().unwrap() < limits::PROBES_MAX);
    }
}

#[tokio::test]
async fn what_outgrows_a_small_answer_is_made_again_as_the_only_large_one() {
    let folder = tempfile::tempdir().unwrap();
    let readers = readers(folder.path());
    let small = usize::try_from(limits::SMALL_ANSWER_BYTES).unwrap();
    let at_once = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&at_once);
    let large = move |_: &dyn Snapshot, allowance: &mut Allowance| {
        allowance.set(small)?;
        allowance.set(small + 1)?;
        assert_eq!(seen.fetch_add(1, Ordering::SeqCst), 0, "two at once");
        (0..1_000).for_each(|_| std::thread::yield_now());
        seen.fetch_sub(1, Ordering::SeqCst);
        Ok(allowance.held())
    };
    let (one, two) = tokio::join!(
        readers.read_within(large.clone()),
        readers.read_within(large.clone())
    );
    for made in [one, two] {
        let (held, allowance) = made.unwrap();
        assert!(held > small);
        assert_eq!(allowance.held(), held);
    }
    assert_eq!(readers.answers_bytes(), 0);
}

#[tokio::test]
async fn large_answers_that_are_refused_leave_their_turn_with_all_memory_free() {
    let folder = tempfile::tempdir().unwrap();
    let readers = readers(folder.path());
    let too_large = |_: &dyn Snapshot, allowance: &mut Allowance| {
        allowance.set(usize::try_from(limits::LARGE_ANSWER_BYTES).unwrap())?;
        allowance.set(usize::MAX)?;
        Ok(())
    };
    let mut many = JoinSet::new();
    for _ in 0..20 {
        let readers = readers.clone();
        many.spawn(async move { readers.read_within(too_large).await.unwrap_err() });
    }
    while let Some(refused) = many.join_next().await {
        assert_eq!(refused.unwrap().code(), "answer_too_large");
    }
}
