//! The order in which map keys are written.

use std::cmp::Ordering;

use crate::value::{Map, Text, Value};

/// The entries in natural order: `a2` before `a10`, letters after other characters.
pub(super) fn sorted(map: &Map) -> Vec<(&Text, &Value)> {
    let mut entries: Vec<(&Text, &Value)> = map.iter().collect();
    // Bytewise order, which the map has, is the natural one of plain words.
    if !entries.iter().all(|(key, _)| key.bytes().all(|c| c.is_ascii_alphabetic())) {
        sort(&mut entries);
    }
    entries
}

fn sort(keys: &mut Vec<(&Text, &Value)>) {
    // The order is not transitive for every input, which the library's sorts may answer with a panic: this merge sort does not care.
    let mut width = 1;
    let mut from = std::mem::take(keys);
    while width < from.len() {
        let mut to = Vec::with_capacity(from.len());
        for pair in from.chunks(2 * width) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
            while let (Some(a), Some(b)) = (l.peek(), r.peek()) {
                let next = if natural(b.0, a.0) == Ordering::Less { r.next() } else { l.next() };
                to.extend(next);
            }
            to.extend(l.chain(r));
        }
        from = to;
        width *= 2;
    }
    *keys = from;
}

fn natural(a: &str, b: &str) -> Ordering {
    if a.bytes().all(|c| c.is_ascii_alphabetic()) && b.bytes().all(|c| c.is_ascii_alphabetic()) {
        return a.cmp(b);
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(i) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let (Some(&x), Some(&y)) = (a.get(i), b.get(i)) else { return Ordering::Equal };
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Inside a number a zero counts: `a10` against `a1`.
    let nonzero_before = a.get(..i).unwrap_or(&[]).iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let start = u64::from((x == '0' || y == '0') && nonzero_before);
    let (an, ai) = digits_from(&a, i, start);
    let (bn, bi) = digits_from(&b, i, start);
    an.cmp(&bn).then(ai.cmp(&bi)).then(x.cmp(&y))
}

fn digits_from(text: &[char], from: usize, start: u64) -> (u64, usize) {
    let digits = text.get(from..).unwrap_or(&[]).iter().map_while(|c| c.to_digit(10));
    digits.fold((start, from), |(n, i), d| (n.wrapping_mul(10).wrapping_add(u64::from(d)), i + 1))
}
