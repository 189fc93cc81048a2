use super::distribution::normal_two_sided;

/// Below this number of expected cases in a cell the normal approximation is not used.
const FEW: f64 = 10.0;

/// Tests that two groups share one proportion, two-sided: Fisher's exact test where an expected count is below 10,
/// else the pooled score test (the chi-square test of the 2 x 2 table). `cases` of `rows` in each group; 1 where a
/// group is empty.
#[must_use]
pub fn two_proportions(cases: [u64; 2], rows: [u64; 2]) -> f64 {
    let total = (rows[0] + rows[1]) as f64;
    if rows[0] == 0 || rows[1] == 0 {
        return 1.0;
    }
    let all = (cases[0] + cases[1]) as f64;
    let smallest = rows[0].min(rows[1]) as f64 * all.min(total - all) / total;
    if smallest < FEW {
        return fisher(cases, rows);
    }
    let pooled = all / total;
    let spread = pooled * (1.0 - pooled) * (1.0 / rows[0] as f64 + 1.0 / rows[1] as f64);
    let gap = cases[0] as f64 / rows[0] as f64 - cases[1] as f64 / rows[1] as f64;
    normal_two_sided(gap / spread.sqrt())
}

/// Fisher's exact test of the 2 x 2 table, two-sided: the probability of all tables with these margins that are no
/// likelier than the one seen.
fn fisher(cases: [u64; 2], rows: [u64; 2]) -> f64 {
    let (all, drawn) = (cases[0] + cases[1], rows[0]);
    let total = rows[0] + rows[1];
    let from = (all + drawn).saturating_sub(total);
    let to = all.min(drawn);
    // Outward from the likeliest table, relative to it; the ratios need no factorials.
    let up = |x: u64| ((all - x) as f64 * (drawn - x) as f64) / ((x + 1) as f64 * (total + x + 1 - all - drawn) as f64);
    let mode = (((all + 1) as f64 * (drawn + 1) as f64 / (total + 2) as f64) as u64).clamp(from, to);
    let relative = |x: u64| {
        let (mut log, mut at) = (0.0, mode);
        while at < x {
            log += up(at).ln();
            at += 1;
        }
        while at > x {
            at -= 1;
            log -= up(at).ln();
        }
        log
    };
    // The slack lets tables of the same probability count in spite of rounding.
    let seen = relative(cases[0]) + 1e-7;
    let (mut sum, mut tail) = (0.0, 0.0);
    let mut visit = |log: f64| {
        let p = log.exp();
        sum += p;
        if log <= seen {
            tail += p;
        }
        p > 0.0
    };
    visit(0.0);
    let (mut log, mut at) = (0.0, mode);
    while at < to {
        log += up(at).ln();
        at += 1;
        if !visit(log) {
            break;
        }
    }
    (log, at) = (0.0, mode);
    while at > from {
        at -= 1;
        log -= up(at).ln();
        if !visit(log) {
            break;
        }
    }
    (tail / sum).min(1.0)
}

/// McNemar's test that two models err equally often, from the rows on which exactly one of them is right: exact
/// (binomial) below 25 such rows, else chi-square with the continuity correction.
#[must_use]
pub fn mcnemar(only_first: u64, only_second: u64) -> f64 {
    let total = only_first + only_second;
    if total == 0 {
        return 1.0;
    }
    let (few, n) = (only_first.min(only_second), total as f64);
    if total >= 25 {
        let gap = (only_first.abs_diff(only_second) as f64 - 1.0).max(0.0);
        return normal_two_sided(gap / n.sqrt());
    }
    let mut term = 0.5f64.powi(total as i32);
    let mut tail = term;
    for k in 0..few {
        term *= (total - k) as f64 / (k + 1) as f64;
        tail += term;
    }
    (2.0 * tail).min(1.0)
}
