//! rpm's header: an index of tags, each with type, place and number of values, and a store that
//! holds the values. The first entry is a region, whose trailer at the end of the store says that
//! all of it belongs together.

use std::collections::BTreeMap;

/// The region of a header, and that of a signature header.
pub const IMMUTABLE: u32 = 63;
pub const SIGNATURES: u32 = 62;

const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];

/// Bytes of an entry of the index, and of a region's trailer.
const ENTRY_BYTES: usize = 16;

/// The type of a region.
const BIN: u32 = 7;

/// What a tag has.
pub enum Value {
    Int16(Vec<u16>),
    Int32(Vec<u32>),
    Text(String),
    Texts(Vec<String>),
    /// A text in one language.
    Translated(String),
}

/// Tags with their values.
pub struct Header {
    region: u32,
    values: BTreeMap<u32, Value>,
}

impl Value {
    /// Any number of texts.
    pub fn texts(texts: impl IntoIterator<Item = String>) -> Self {
        Self::Texts(texts.into_iter().collect())
    }

    /// Number of the type, alignment, number of values, and the bytes.
    fn encode(&self) -> (u32, usize, usize, Vec<u8>) {
        let terminated = |text: &String| [text.as_bytes(), &[0]].concat();
        match self {
            Self::Int16(all) => {
                let bytes = all.iter().flat_map(|n| n.to_be_bytes());
                (3, 2, all.len(), bytes.collect())
            }
            Self::Int32(all) => {
                let bytes = all.iter().flat_map(|n| n.to_be_bytes());
                (4, 4, all.len(), bytes.collect())
            }
            Self::Text(text) => (6, 1, 1, terminated(text)),
            Self::Texts(all) => (8, 1, all.len(), all.iter().flat_map(terminated).collect()),
            Self::Translated(text) => (9, 1, 1, terminated(text)),
        }
    }
}

impl Header {
    /// An empty one.
    pub fn new(region: u32) -> Self {
        Self {
            region,
            values: BTreeMap::new(),
        }
    }

    /// Puts a value under a tag (rpmtag.h).
    pub fn put(&mut self, tag: u32, value: Value) {
        self.values.insert(tag, value);
    }

    /// As it is in a file, with the magic in front.
    pub fn bytes(&self) -> Vec<u8> {
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, value) in &self.values {
            let (kind, alignment, count, bytes) = value.encode();
            store.resize(store.len().next_multiple_of(alignment), 0);
            index.extend(entry(*tag, kind, store.len() as u32, count));
            store.extend(bytes);
        }
        let region = entry(self.region, BIN, store.len() as u32, ENTRY_BYTES);
        let entries = self.values.len() + 1;
        // The trailer leads back to the start of the index.
        let back = (entries * ENTRY_BYTES) as u32;
        store.extend(entry(self.region, BIN, back.wrapping_neg(), ENTRY_BYTES));
        let sizes = [entries, store.len()].map(|size| (size as u32).to_be_bytes());
        [&MAGIC[..], &sizes.concat(), &region, &index, &store].concat()
    }
}

fn entry(tag: u32, kind: u32, offset: u32, count: usize) -> Vec<u8> {
    let fields = [tag, kind, offset, count as u32].map(u32::to_be_bytes);
    fields.concat()
}
