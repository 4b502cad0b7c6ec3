//! Markdown rendered to HTML, ROUNDS times, printed once. Usage: `markdown FILE ROUNDS`.

use pulldown_cmark::{Options, Parser, html};

fn main() {
    let mut args = std::env::args().skip(1);
    let text = std::fs::read_to_string(args.next().expect("FILE")).expect("a readable file");
    let rounds: usize = args.next().expect("ROUNDS").parse().expect("a number");
    let mut out = String::new();
    for _ in 0..rounds {
        out.clear();
        html::push_html(&mut out, Parser::new_ext(&text, Options::all()));
    }
    print!("{out}");
}
