//! nslab's own SVG, read back: boxes, texts and lines, and whether they stand where they may.

/// A rectangle.
#[derive(Debug, Clone)]
pub struct Box {
    pub class: String,
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Box {
    fn has(&self, x: f64, y: f64) -> bool {
        (self.x..=self.x + self.w).contains(&x) && (self.y..=self.y + self.h).contains(&y)
    }

    fn holds(&self, other: &Self) -> bool {
        self.has(other.x, other.y) && self.has(other.x + other.w, other.y + other.h)
    }

    fn is_apart(&self, other: &Self) -> bool {
        self.x + self.w <= other.x || other.x + other.w <= self.x || self.y + self.h <= other.y || other.y + other.h <= self.y
    }

    fn is(&self, class: &str) -> bool {
        self.class.split(' ').any(|each| each == class)
    }
}

/// A text with its anchor.
#[derive(Debug, Clone)]
pub struct Text {
    pub class: String,
    pub x: f64,
    pub y: f64,
    pub words: String,
}

/// A picture.
#[derive(Debug)]
pub struct Picture {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Box>,
    pub texts: Vec<Text>,
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let start = element.find(&format!(" {name}=\"")).unwrap_or_else(|| panic!("no {name} in {element}")) + name.len() + 3;
    element[start..].split('"').next().unwrap()
}

fn number(element: &str, name: &str) -> f64 {
    attribute(element, name).parse().unwrap()
}

/// Undoes the escaping of XML; a bare `&` or `<` is a mistake.
fn plain(text: &str) -> String {
    assert!(!text.contains('<'), "{text}");
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let end = rest[at..].find(';').unwrap_or_else(|| panic!("a bare & in {text}")) + at;
        let c = match &rest[at + 1..end] {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            other => panic!("unknown entity {other} in {text}"),
        };
        out.push_str(&rest[..at]);
        out.push(c);
        rest = &rest[end + 1..];
    }
    out + rest
}

impl Picture {
    /// Reads what nslab wrote: one element on each line.
    pub fn read(svg: &str) -> Self {
        let head = svg.lines().next().unwrap();
        let size: Vec<f64> = attribute(head, "viewBox").split(' ').map(|number| number.parse().unwrap()).collect();
        let mut picture = Self { width: size[2], height: size[3], boxes: vec![], texts: vec![], lines: vec![] };
        for line in svg.lines().skip(1) {
            if line.starts_with("<rect ") {
                let class = attribute(line, "class").to_owned();
                let [x, y, w, h] = ["x", "y", "width", "height"].map(|name| number(line, name));
                picture.boxes.push(Box { class, x, y, w, h });
            } else if line.starts_with("<text ") {
                let text = line.split_once('>').unwrap().1.strip_suffix("</text>").unwrap();
                let class = attribute(line, "class").to_owned();
                picture.texts.push(Text { class, x: number(line, "x"), y: number(line, "y"), words: plain(text) });
            } else if line.starts_with("<path ") {
                let points = attribute(line, "d").trim_start_matches('M').split(" L").map(|point| {
                    let (x, y) = point.split_once(' ').unwrap();
                    (x.parse().unwrap(), y.parse().unwrap())
                });
                picture.lines.push((attribute(line, "class").to_owned(), points.collect()));
            }
        }
        picture
    }

    /// The size in points of the smallest letters when the picture fills a sheet of A4, margins of 1 cm, the better way round.
    pub fn smallest_on_paper(&self) -> f64 {
        let (short, long) = (190.0 / 25.4 * 72.0, 277.0 / 25.4 * 72.0);
        let fit = |w: f64, h: f64| (w / self.width).min(h / self.height);
        let smallest = self.texts.iter().map(|text| size(&text.class)).fold(f64::MAX, f64::min);
        smallest * fit(short, long).max(fit(long, short))
    }

    /// Everything that stands where it may not.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (at, one) in self.boxes.iter().enumerate() {
            for other in &self.boxes[at + 1..] {
                if !(one.is_apart(other) || one.holds(other) || other.holds(one)) {
                    faults.push(format!("{one:?} and {other:?} overlap"));
                }
            }
        }
        let mut spaces: Vec<Box> = Vec::new();
        for text in &self.texts {
            let space = space(text);
            let around =
                self.boxes.iter().filter(|each| each.has(text.x, text.y)).min_by(|a, b| (a.w * a.h).total_cmp(&(b.w * b.h)));
            if !around.is_some_and(|around| around.holds(&space)) {
                faults.push(format!("{text:?} takes {space:?} and leaves {around:?}"));
            }
            faults
                .extend(spaces.iter().filter(|other| !other.is_apart(&space)).map(|other| format!("{text:?} is over {other:?}")));
            spaces.push(space);
        }
        for (class, points) in &self.lines {
            faults.extend(self.crossed(points).into_iter().map(|each| format!("{class} {points:?} goes through {each:?}")));
            for space in &spaces {
                let pill = self.boxes.iter().any(|each| each.is("network") && each.holds(space));
                if !pill && segments(points).any(|segment| passes(segment, space)) {
                    faults.push(format!("{class} {points:?} goes through the text at {space:?}"));
                }
            }
        }
        faults
    }

    /// Boxes that a line goes through without ending in them.
    fn crossed(&self, points: &[(f64, f64)]) -> Vec<&Box> {
        let through = ["container", "interface", "switch", "subnet", "router", "bridge"];
        let ends = [points[0], points[points.len() - 1]];
        let foreign = |each: &&Box| through.iter().any(|class| each.is(class)) && !ends.iter().any(|(x, y)| each.has(*x, *y));
        self.boxes.iter().filter(foreign).filter(|each| segments(points).any(|segment| passes(segment, each))).collect()
    }
}

fn segments(points: &[(f64, f64)]) -> impl Iterator<Item = [(f64, f64); 2]> + '_ {
    points.windows(2).map(|pair| [pair[0], pair[1]])
}

/// Whether a segment goes through the inside of a box, looked at every pixel.
fn passes([from, to]: [(f64, f64); 2], each: &Box) -> bool {
    let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
    let inside = |x: f64, y: f64| x > each.x + 1.0 && x < each.x + each.w - 1.0 && y > each.y + 1.0 && y < each.y + each.h - 1.0;
    let mut step = 0.0;
    while step <= steps {
        let part = step / steps;
        if inside(from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part) {
            return true;
        }
        step += 1.0;
    }
    false
}

/// The size of letters, from the style sheet.
fn size(class: &str) -> f64 {
    match class.split(' ').next().unwrap() {
        "title" => 16.0,
        "name" => 14.0,
        "strong" | "mono" | "note" => 11.0,
        other => panic!("letters of the unknown class {other}"),
    }
}

/// The place that a text takes: widths of `DejaVu` Sans Bold and `DejaVu` Sans Mono, from the fonts' own tables.
fn space(text: &Text) -> Box {
    let size = size(&text.class);
    let mono = text.class.starts_with("mono") || text.class.starts_with("strong");
    let em: f64 = text.words.chars().map(|c| if mono { 1233.0 } else { advance(c) }).sum::<f64>() / 2048.0;
    let w = em * size;
    let x = if text.class.contains("middle") { text.x - w / 2.0 } else { text.x };
    Box { class: "text".to_owned(), x, y: text.y - size * 0.76, w, h: size * 0.98 }
}

/// In 2048ths of the size.
fn advance(c: char) -> f64 {
    let width = match c {
        ' ' => 713,
        '.' | ',' => 778,
        '/' => 748,
        ':' | ';' => 819,
        '-' => 850,
        '(' | ')' => 936,
        '_' => 1024,
        '\'' => 627,
        '0'..='9' => 1425,
        'a' => 1382,
        'b' | 'd' | 'g' | 'p' | 'q' => 1466,
        'c' => 1214,
        'e' => 1389,
        'f' => 891,
        'h' | 'n' | 'u' => 1458,
        'i' | 'j' | 'l' => 702,
        'k' => 1362,
        'm' => 2134,
        'o' => 1407,
        'r' => 1010,
        's' => 1219,
        't' => 979,
        'v' | 'y' => 1335,
        'w' => 1892,
        'x' => 1321,
        'z' => 1192,
        'W' => 2259,
        'M' => 2038,
        'A'..='Z' => 1774,
        other => panic!("how wide is {other:?}?"),
    };
    f64::from(width)
}
