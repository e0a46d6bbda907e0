//! The symbols of a block that is written: numbered as they come, put in order at the end.

use std::collections::HashMap;

/// Names and values, each once, with provisional numbers.
#[derive(Debug, Default)]
pub(super) struct SymbolsWriter {
    numbers: HashMap<Box<str>, u32>,
    /// By provisional number, how many series have the symbol as a name of a label.
    named: Vec<u32>,
    bytes: u64,
}

impl SymbolsWriter {
    /// The provisional numbers of a label of one more series.
    pub(super) fn label(&mut self, name: &str, value: &str) -> (u32, u32) {
        let name = self.number(name);
        self.named[name as usize] += 1;
        (name, self.number(value))
    }

    fn number(&mut self, symbol: &str) -> u32 {
        if let Some(number) = self.numbers.get(symbol) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(symbol.into(), number);
        self.named.push(0);
        self.bytes += symbol.len() as u64;
        number
    }

    /// All symbols in order, and the final number of each provisional one.
    pub(super) fn in_order(&self) -> (Vec<&str>, Vec<u32>) {
        let mut sorted: Vec<(&str, u32)> =
            self.numbers.iter().map(|(symbol, number)| (&**symbol, *number)).collect();
        sorted.sort_unstable();
        let mut finals = vec![0; sorted.len()];
        for (place, (_, number)) in sorted.iter().enumerate() {
            finals[*number as usize] = place as u32;
        }
        (sorted.into_iter().map(|(symbol, _)| symbol).collect(), finals)
    }

    /// The symbols that are names, by their final numbers in order, with how many series have each.
    pub(super) fn names(&self, finals: &[u32]) -> Vec<(u32, usize)> {
        let named = self.named.iter().zip(finals).filter(|(count, _)| **count > 0);
        let mut names: Vec<(u32, usize)> = named.map(|(count, place)| (*place, *count as usize)).collect();
        names.sort_unstable();
        names
    }
}
