//! lab's own behaviour: images that other tools read, machines that end as they should.

mod common;

mod image;
mod machine;
