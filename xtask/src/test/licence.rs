//! SPDX licence expressions, as far as crates use them: `AND`, `OR`, `WITH`, brackets, and the
//! old slash for `OR`.

use std::collections::BTreeSet;

/// Whether the licences allowed suffice for this expression; `Err` tells what cannot be read.
pub fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> Result<bool, String> {
    let tokens = tokens(expression);
    let mut reader = Reader {
        tokens: &tokens,
        allowed,
    };
    let verdict = reader.either()?;
    match reader.tokens.first() {
        None => Ok(verdict),
        Some(token) => Err(format!("{token:?} was not expected")),
    }
}

fn tokens(expression: &str) -> Vec<String> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    spaced.split_whitespace().map(str::to_owned).collect()
}

struct Reader<'a> {
    tokens: &'a [String],
    allowed: &'a BTreeSet<String>,
}

impl<'a> Reader<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn take_if(&mut self, word: &str) -> bool {
        let is_next = self.tokens.first().is_some_and(|token| token == word);
        if is_next {
            self.take();
        }
        is_next
    }

    fn either(&mut self) -> Result<bool, String> {
        let mut verdict = self.both()?;
        while self.take_if("OR") {
            verdict |= self.both()?;
        }
        Ok(verdict)
    }

    fn both(&mut self) -> Result<bool, String> {
        let mut verdict = self.one()?;
        while self.take_if("AND") {
            verdict &= self.one()?;
        }
        Ok(verdict)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take_if("(") {
            let verdict = self.either()?;
            return if self.take_if(")") {
                Ok(verdict)
            } else {
                Err("a bracket is not closed".to_owned())
            };
        }
        let Some(name) = self
            .take()
            .filter(|name| !["AND", "OR", "WITH", ")"].contains(name))
        else {
            return Err("a licence was expected".to_owned());
        };
        if self.take_if("WITH") {
            let exception = self.take().ok_or("an exception was expected after WITH")?;
            return Ok(self.allowed.contains(&format!("{name} WITH {exception}")));
        }
        Ok(self.allowed.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    fn check(expression: &str, expected: Result<bool, &str>) {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"];
        let allowed = allowed.into_iter().map(str::to_owned).collect();
        let verdict = is_allowed(expression, &allowed);
        assert_eq!(verdict, expected.map_err(str::to_owned), "{expression}");
    }

    #[test]
    fn expressions_are_weighed() {
        check("MIT", Ok(true));
        check("GPL-3.0-only", Ok(false));
        check("GPL-3.0-only OR MIT", Ok(true));
        check("GPL-3.0-only AND MIT", Ok(false));
        check("MIT/Apache-2.0", Ok(true));
        check("Apache-2.0 / GPL-2.0", Ok(true));
        check("(MIT OR GPL-3.0-only) AND Apache-2.0", Ok(true));
        check("MIT OR GPL-3.0-only AND ISC", Ok(true));
        check("(MIT OR GPL-3.0-only) AND ISC", Ok(false));
        check("Apache-2.0 WITH LLVM-exception", Ok(true));
        check("MIT WITH LLVM-exception", Ok(false));
        check("(MIT", Err("a bracket is not closed"));
        check("MIT MIT", Err("\"MIT\" was not expected"));
        check("MIT OR", Err("a licence was expected"));
    }
}
