//! Text in columns.

/// Lays rows out in columns, two spaces apart; the first row is the heading.
/// Columns in `right` align right.
pub fn lay_out(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        let cells = rows.iter().filter_map(|r| r.get(c));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let gap = widths[c] - cell.chars().count();
            match right.contains(&c) {
                true => line += &format!("{}{cell}  ", " ".repeat(gap)),
                false => line += &format!("{cell}{}  ", " ".repeat(gap)),
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A row from anything that prints.
pub fn row<const N: usize>(cells: [&dyn std::fmt::Display; N]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

/// A number of bytes for people, in the units that datasheets use.
pub fn bytes(count: usize) -> String {
    match count {
        n if n >= 1 << 20 => format!("{:.2} MiB", n as f64 / f64::from(1 << 20)),
        n if n >= 1 << 10 => format!("{:.1} KiB", n as f64 / f64::from(1 << 10)),
        n => format!("{n} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align() {
        let rows = [
            row([&"name", &"n"]),
            row([&"a", &7]),
            row([&"long name", &123]),
        ];
        assert_eq!(
            lay_out(&rows, &[1]),
            "name         n\na            7\nlong name  123\n"
        );
        assert_eq!(bytes(12_288), "12.0 KiB");
    }
}
