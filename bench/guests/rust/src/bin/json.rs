//! A JSON document parsed, summed up, changed and written again, ROUNDS times; the last is printed as a digest.
//! Usage: `json FILE ROUNDS`.

use serde_json::Value;

fn fold(value: &mut Value, sum: &mut f64, strings: &mut usize) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => *sum += number.as_f64().expect("a number"),
        Value::String(text) => {
            *strings += text.len();
            text.push('.');
        }
        Value::Array(items) => {
            items.reverse();
            items.iter_mut().for_each(|item| fold(item, sum, strings));
        }
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| fold(field, sum, strings)),
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut text = std::fs::read_to_string(args.next().expect("FILE")).expect("a readable file");
    let rounds: usize = args.next().expect("ROUNDS").parse().expect("a number");
    for _ in 0..rounds {
        let mut value: Value = serde_json::from_str(&text).expect("valid JSON");
        let (mut sum, mut strings) = (0.0, 0);
        fold(&mut value, &mut sum, &mut strings);
        text = serde_json::to_string(&value).expect("memory");
        println!(
            "{sum} {strings} {} {}",
            text.len(),
            blake3::hash(text.as_bytes())
        );
    }
}
