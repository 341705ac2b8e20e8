//! "Did you mean": the names nearest to one that is not there.

/// Names offered at most.
const OFFERED: usize = 3;

/// Distance that still counts as a slip of the pen, as a share of the longer name.
const NEAR: f64 = 0.45;

/// Up to three `names` near `wanted`, the nearest first: those that contain it
/// (case ignored), then those at a small Damerau-Levenshtein distance.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut rated: Vec<(f64, &str)> = names
        .into_iter()
        .filter_map(|name| distance(&wanted, &name.to_lowercase()).map(|d| (d, name)))
        .collect();
    rated.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    rated.dedup_by(|a, b| a.1 == b.1);
    rated.into_iter().take(OFFERED).map(|(_, n)| n).collect()
}

/// Distance between two lower-case names, 0 for equal, `None` for unrelated ones.
fn distance(wanted: &str, name: &str) -> Option<f64> {
    let longer = wanted.chars().count().max(name.chars().count());
    if longer == 0 {
        return None;
    }
    let edits = strsim::damerau_levenshtein(wanted, name) as f64 / longer as f64;
    let part = wanted.len() >= 3 && (name.contains(wanted) || wanted.contains(name));
    if part {
        return Some(edits * NEAR);
    }
    (edits <= NEAR).then_some(edits)
}

/// The sentence that follows "unknown ...": the nearest names, or a few of
/// all, or nothing if there are none.
pub fn hint<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let near = nearest(wanted, names.iter().copied());
    match near.as_slice() {
        [] => few(&names),
        [one] => format!("did you mean `{one}`?"),
        [head @ .., last] => format!("did you mean `{}` or `{last}`?", head.join("`, `")),
    }
}

fn few(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    if names.is_empty() {
        return String::from("there are none");
    }
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let shown: Vec<&str> = names.iter().take(SHOWN).copied().collect();
    format!("there are `{}`{more}", shown.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        let names = ["gradient", "grad-cam", "occlusion", "rise"];
        assert_eq!(nearest("gradcam", names)[0], "grad-cam");
        assert_eq!(nearest("Oclusion", names), ["occlusion"]);
        assert!(nearest("xyzzy", names).is_empty());
    }

    #[test]
    fn a_part_of_a_label_finds_it() {
        let names = ["Egyptian cat", "tabby, tabby cat", "goldfish"];
        assert_eq!(nearest("egyptian", names), ["Egyptian cat"]);
        assert_eq!(hint("goldfihs", names), "did you mean `goldfish`?");
    }

    #[test]
    fn nothing_near_lists_what_there_is() {
        assert_eq!(hint("q", ["blur", "black"]), "there are `blur`, `black`");
        assert_eq!(hint("q", []), "there are none");
    }
}
