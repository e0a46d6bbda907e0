//! Step: matching a long text byte by byte, so that it can be stopped. For texts that are dear: a large automaton may take a
//! step in each of its states for every byte, which for a label value of 4 KiB is seconds.
//!
//! The same automaton as elsewhere, determinized as far as the text needs it; a full cache begins anew and never gives up.

use std::sync::{Mutex, PoisonError};

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::{NEST_MAX, PROGRAM_BYTES_MAX};
use crate::{Pulse, StoreError};

/// Bytes of determinized states of one text, as far as the automaton does not need more for a few of them.
const CACHE_BYTES: usize = 4 << 20;
/// Caches that are kept for later texts.
const CACHES_KEPT: usize = 2;

/// An automaton that takes steps.
#[derive(Debug)]
pub(super) struct Stepper {
    dfa: DFA,
    caches: Mutex<Vec<Cache>>,
    anchored: Anchored,
}

impl Stepper {
    /// Of a translation that is known to compile.
    pub(super) fn new(translation: &str, anchored: bool) -> Stepper {
        let program = thompson::Config::new()
            .nfa_size_limit(Some(PROGRAM_BYTES_MAX))
            .which_captures(WhichCaptures::None);
        let dfa = DFA::builder()
            .configure(DFA::config().cache_capacity(CACHE_BYTES).skip_cache_capacity_check(true))
            .syntax(syntax::Config::new().nest_limit(NEST_MAX))
            .thompson(program)
            .build(translation)
            .expect("BUG: a pattern that was accepted does not compile");
        let anchored = if anchored { Anchored::Yes } else { Anchored::No };
        Stepper { dfa, caches: Mutex::default(), anchored }
    }

    /// Does `text` match? `step_work` is what a byte may take at worst, in pieces of work of a pulse.
    pub(super) fn is_match(
        &self,
        text: &str,
        step_work: usize,
        pulse: &mut Pulse,
    ) -> Result<bool, StoreError> {
        let mut cache = self.caches().pop().unwrap_or_else(|| self.dfa.create_cache());
        let answer = self.walk(&mut cache, text, step_work, pulse);
        let mut kept = self.caches();
        if kept.len() < CACHES_KEPT {
            kept.push(cache);
        }
        answer
    }

    fn walk(
        &self,
        cache: &mut Cache,
        text: &str,
        step_work: usize,
        pulse: &mut Pulse,
    ) -> Result<bool, StoreError> {
        const NEVER: &str = "BUG: an automaton without bytes to give up at has given up";
        let input = Input::new(text).anchored(self.anchored);
        let mut state = self.dfa.start_state_forward(cache, &input).expect(NEVER);
        for byte in text.bytes() {
            pulse.tick(step_work)?;
            state = self.dfa.next_state(cache, state, byte).expect(NEVER);
            if state.is_match() {
                return Ok(true);
            }
            if state.is_dead() {
                return Ok(false);
            }
        }
        Ok(self.dfa.next_eoi_state(cache, state).expect(NEVER).is_match())
    }

    fn caches(&self) -> std::sync::MutexGuard<'_, Vec<Cache>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
