//! Tables without lines around them, a heading, then rows; and sentences in lines.

use comfy_table::{CellAlignment, ContentArrangement, TableStyle};

use crate::render::Style;
use crate::render::escape::escape;

/// Columns that lines are broken at, as those of a terminal that nobody made wider; commands are left whole.
pub(crate) const WIDTH: usize = 80;

/// A table; every cell is escaped on its way in.
pub(crate) struct Table {
    table: comfy_table::Table,
    style: Style,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(style: Style, headings: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        let look = TableStyle::new();
        table.load_style(look).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(headings);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self { table, style }
    }

    /// Numbers stand right.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        for &column in columns {
            if let Some(column) = self.table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    /// One more row.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| escape(cell.as_ref()).into_owned()).collect();
        self.table.add_row(cells);
    }

    /// The last column holds sentences: on a terminal they go on below instead of beyond its edge.
    pub(crate) fn wrapped(mut self, indent: u16) -> Self {
        if let Some(width) = self.style.width {
            self.table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width - indent);
        }
        self
    }

    /// Whether no row was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The heading in bold, then the rows, each indented by `indent` spaces.
    pub(crate) fn print(&self, indent: usize) -> String {
        let trimmed = self.table.trim_fmt();
        let mut lines: Vec<String> = trimmed.lines().map(|line| format!("{:indent$}{line}", "")).collect();
        if let Some(heading) = lines.first_mut() {
            *heading = self.style.bold(heading);
        }
        crate::render::lines(&lines)
    }
}

/// A title, then the table under it, then an empty line; nothing where the table is empty.
pub(crate) fn section(title: &str, table: &Table) -> String {
    if table.is_empty() {
        return String::new();
    }
    let style = table.style;
    format!("{}\n{}\n", style.bold(title), table.print(2))
}

/// A sentence in lines of at most 80 columns, each with its beginning; at a no-break space no line ends.
pub(crate) fn broken(first: &str, below: &str, sentence: &str) -> Vec<String> {
    let (mut lines, mut line, mut begun) = (Vec::new(), first.to_owned(), false);
    for word in sentence.split(' ') {
        if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, below.to_owned()));
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    lines.push(line);
    lines.iter().map(|line| line.replace('\u{a0}', " ")).collect()
}
