//! Lists that are read page by page, as text: what is not looked at is never taken apart, and one page at a time is held.

use std::borrow::Cow;

use kube::Client;
use kube::api::{ListParams, Request};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What is to be listed.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Path of the collection.
    pub(super) path: String,
    /// How many objects are asked for at once.
    pub(super) page: u32,
    /// Whether `metadata` is all that is of interest.
    pub(super) metadata_only: bool,
}

/// A part of a list.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow)]
    metadata: PageMetadata<'a>,
    /// The objects, as they stand.
    #[serde(borrow, deserialize_with = "null_as_none")]
    pub(super) items: Vec<&'a RawValue>,
}

/// An API server writes `null` where a list of metadata holds nothing (Kubernetes 1.20).
fn null_as_none<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<&'a RawValue>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata<'a> {
    #[serde(borrow)]
    r#continue: Option<Cow<'a, str>>,
    remaining_item_count: Option<u64>,
}

impl Page<'_> {
    /// How many objects come after this page, where the API server says so.
    pub(super) fn remaining(&self) -> u64 {
        self.metadata.remaining_item_count.unwrap_or(0)
    }
}

impl<'a> Page<'a> {
    /// A page as [`Pages::fetch`] returns it.
    ///
    /// # Errors
    ///
    /// When it is no list.
    pub(super) fn read(text: &'a str) -> kube::Result<Self> {
        serde_json::from_str(text).map_err(kube::Error::SerdeError)
    }
}

/// Where in a list somebody is.
pub(super) struct Pages<'a> {
    listing: &'a Listing,
    params: ListParams,
}

impl Pages<'_> {
    /// The text of the page that is next.
    ///
    /// # Errors
    ///
    /// What the API server says: 410 when the list has taken longer than it remembers.
    pub(super) async fn fetch(&self, client: &Client) -> kube::Result<String> {
        let request = Request::new(&self.listing.path);
        let request =
            if self.listing.metadata_only { request.list_metadata(&self.params) } else { request.list(&self.params) };
        client.request_text(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Whether another page comes after this one.
    pub(super) fn turn(&mut self, page: &Page<'_>) -> bool {
        self.params.continue_token = page.metadata.r#continue.as_deref().map(str::to_owned);
        self.params.continue_token.as_ref().is_some_and(|token| !token.is_empty())
    }
}

impl Listing {
    /// Before the first page.
    pub(super) fn pages(&self) -> Pages<'_> {
        Pages { listing: self, params: ListParams::default().limit(self.page) }
    }

    /// Reads all pages, one after the other.
    ///
    /// # Errors
    ///
    /// As [`Pages::fetch`].
    pub(super) async fn read(&self, client: &Client, mut take: impl FnMut(&Page<'_>)) -> kube::Result<()> {
        let mut pages = self.pages();
        loop {
            let text = pages.fetch(client).await?;
            let page = Page::read(&text)?;
            take(&page);
            if !pages.turn(&page) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Page;

    /// The first as Kubernetes 1.20 sent it.
    #[rstest]
    #[case::null(r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"213"},"items":null}"#, 0)]
    #[case::empty(
        r#"{"kind":"UserList","apiVersion":"hobbyfarm.io/v1","metadata":{"resourceVersion":"213"},"items":[]}"#,
        0
    )]
    #[case::one(
        r#"{"kind":"UserList","apiVersion":"hobbyfarm.io/v1","metadata":{"resourceVersion":"213"},"items":[{}]}"#,
        1
    )]
    fn a_list_may_hold_nothing(#[case] text: &str, #[case] items: usize) {
        let page: Page<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(page.items.len(), items);
    }
}
