//! A strict reader of JSON (RFC 8259, surrogates in pairs) that keeps what others throw away: the text of numbers,
//! the order and the doubles of keys. Pure, and no code of the program's.

use super::canon;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        if reader.at == text.len() { Ok(value) } else { Err(reader.wrong("something after the value")) }
    }

    /// Whether BigQuery holds it: GoogleSQL refuses a number beyond the doubles ("number overflow").
    pub fn fits(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Text(_) => true,
            Self::Number(text) => text.parse::<f64>().is_ok_and(f64::is_finite),
            Self::Array(items) => items.iter().all(Self::fits),
            Self::Object(fields) => fields.iter().all(|(_, value)| value.fits()),
        }
    }

    /// The value with its numbers as exact decimals, so that equal values have equal texts.
    pub fn canonical(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Number(text) => canon::decimal(text).unwrap_or_else(|| format!("no number: {text}")),
            Self::Text(text) => format!("{text:?}"),
            Self::Array(items) => format!("[{}]", items.iter().map(Self::canonical).collect::<Vec<_>>().join(",")),
            Self::Object(fields) => {
                let field = |(name, value): &(String, Self)| format!("{name:?}:{}", value.canonical());
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// BigQuery documents no more levels than this.
const DEPTH_MAX: u32 = 500;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> String {
        let rest: String = self.text[self.at.min(self.text.len())..].chars().take(30).collect();
        format!("{what} at byte {}: {rest:?}", self.at)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, token: &str) -> bool {
        let there = self.rest().starts_with(token);
        if there {
            self.at += token.len();
        }
        there
    }

    fn value(&mut self, depth: u32) -> Result<Json, String> {
        self.space();
        if depth > DEPTH_MAX {
            return Err(self.wrong("too deep"));
        }
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if self.take(word) {
                return Ok(value);
            }
        }
        match self.rest().as_bytes().first() {
            Some(b'"') => self.string().map(Json::Text),
            Some(b'[') => self.array(depth),
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.wrong("no value")),
        }
    }

    fn array(&mut self, depth: u32) -> Result<Json, String> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.take("]") {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Ok(Json::Array(items));
            }
            if !self.take(",") {
                return Err(self.wrong("no comma"));
            }
        }
    }

    fn object(&mut self, depth: u32) -> Result<Json, String> {
        let mut fields = Vec::new();
        self.at += 1;
        self.space();
        if self.take("}") {
            return Ok(Json::Object(fields));
        }
        loop {
            self.space();
            let name = self.string()?;
            self.space();
            if !self.take(":") {
                return Err(self.wrong("no colon"));
            }
            fields.push((name, self.value(depth + 1)?));
            self.space();
            if self.take("}") {
                return Ok(Json::Object(fields));
            }
            if !self.take(",") {
                return Err(self.wrong("no comma"));
            }
        }
    }

    fn digits(&mut self) -> Result<usize, String> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        if count == 0 { Err(self.wrong("no digit")) } else { Ok(count) }
    }

    fn number(&mut self) -> Result<Json, String> {
        let start = self.at;
        self.take("-");
        let zero = self.rest().starts_with('0');
        if self.digits()? > 1 && zero {
            return Err(self.wrong("a zero in front"));
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            if !self.take("-") {
                self.take("+");
            }
            self.digits()?;
        }
        Ok(Json::Number(self.text[start..self.at].to_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.take("\"") {
            return Err(self.wrong("no string"));
        }
        let mut made = String::new();
        loop {
            let next = self.rest().chars().next().ok_or_else(|| self.wrong("an open string"))?;
            if next < ' ' {
                return Err(self.wrong("a control character in a string"));
            }
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(made),
                '\\' => made.push(self.escape()?),
                other => made.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let letter = self.rest().chars().next().ok_or_else(|| self.wrong("an open escape"))?;
        self.at += letter.len_utf8();
        Ok(match letter {
            '"' | '\\' | '/' => letter,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut units = vec![self.hex()?];
                if matches!(units[0], 0xd800..=0xdbff) && self.take("\\u") {
                    units.push(self.hex()?);
                }
                let mut chars = char::decode_utf16(units);
                match (chars.next(), chars.next()) {
                    (Some(Ok(made)), None) => made,
                    _ => return Err(self.wrong("half a surrogate pair before")),
                }
            }
            _ => return Err(self.wrong("no escape before")),
        })
    }

    fn hex(&mut self) -> Result<u16, String> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.wrong("no four hex digits"))?;
        self.at += 4;
        Ok(unit)
    }
}
