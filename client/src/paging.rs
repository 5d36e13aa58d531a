//! Lists as streams: a page is read when the one before is used up.

use std::collections::VecDeque;
use std::future::Future;

use futures_util::stream::{self, Stream};

use crate::error::ClientError;

/// Where the next page begins; `None` after the last, or after an error.
type Next = Option<String>;

/// The items of all pages from `cursor` on. `page` gives a page's items and the cursor of the
/// next, empty at the end.
pub(crate) fn stream<T, P, F>(
    cursor: String,
    page: P,
) -> impl Stream<Item = Result<T, ClientError>> + Send + 'static
where
    T: Send + 'static,
    P: Fn(String) -> F + Send + 'static,
    F: Future<Output = Result<(Vec<T>, String), ClientError>> + Send + 'static,
{
    let start: (Next, VecDeque<T>, P) = (Some(cursor), VecDeque::new(), page);
    stream::unfold(start, |(mut next, mut items, page)| async move {
        loop {
            if let Some(item) = items.pop_front() {
                return Some((Ok(item), (next, items, page)));
            }
            match page(next.take()?).await {
                Ok((read, cursor)) => {
                    items = read.into();
                    next = Some(cursor).filter(|cursor| !cursor.is_empty());
                }
                Err(error) => return Some((Err(error), (None, items, page))),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    async fn pages(cursor: String) -> Result<(Vec<u32>, String), ClientError> {
        match cursor.as_str() {
            "" => Ok((vec![1, 2], "a".into())),
            // A page may be empty and yet not the last, when a filter leaves nothing of it.
            "a" => Ok((vec![], "b".into())),
            "b" => Ok((vec![3], String::new())),
            _other => Err(ClientError::Closed),
        }
    }

    #[tokio::test]
    async fn all_pages_are_read_in_order_and_an_error_ends_the_stream() {
        let read: Vec<_> = stream(String::new(), pages).collect().await;
        assert_eq!(read, [Ok(1), Ok(2), Ok(3)]);
        let read: Vec<_> = stream("wrong".into(), pages).collect().await;
        assert_eq!(read, [Err(ClientError::Closed)]);
    }
}
