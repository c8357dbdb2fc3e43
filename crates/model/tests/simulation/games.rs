//! Games that found a defect, shortened: what was wrong, the seed of their world,
//! and their moves. (The seed alone gives another game when the odds change.)
#![allow(clippy::unreadable_literal)]

use super::world::Move::{self, Change, Command, End, Kill, Reboot, Round, Start, Tell, Wait};

/// See the module.
pub const FOUND: &[(&str, u64, &[Move])] = &[
    (
        "a logger that ended with its pipe stayed down under the next supervisor",
        15,
        &[Tell(false), Round(1654306399, None), Wait(4213707445)],
    ),
    (
        "a command after HUP kept the supervisor for ever",
        545,
        &[
            Tell(false),
            Round(802323344, None),
            Tell(false),
            Command(3973983937),
        ],
    ),
    (
        "once kept a service without an entry",
        153,
        &[
            Change(2364837395),
            Change(11477559),
            Round(997652400, None),
            Change(198227286),
            Round(3194625210, None),
            Command(552927895),
        ],
    ),
    (
        "the status of another boot was believed",
        343,
        &[
            Round(1215137498, None),
            Command(2140976726),
            Round(150049371, None),
            Reboot,
            Change(2504505863),
            Start,
            Round(474609766, Some(5)),
            End(1953168206),
        ],
    ),
    (
        "a logger told to stay down while it drains came back",
        850,
        &[
            Tell(false),
            Round(3763581949, None),
            Wait(1010256467),
            Command(2175070825),
            Wait(1481154050),
            Wait(2304399895),
            Command(4064140213),
            Round(987524526, None),
            Kill,
        ],
    ),
    (
        "a stop was forgotten when the supervisor was killed while control/t ran",
        667,
        &[
            Change(1334138619),
            Round(155977943, None),
            End(921981744),
            Command(3396596310),
            Round(501994155, None),
            Kill,
            End(3195377497),
        ],
    ),
    (
        "a service started under a keeper had no logger",
        122,
        &[Tell(false), Round(2652840061, None), Command(647561920)],
    ),
    (
        "a directory that waits was renamed in the place of one that stops",
        1943,
        &[
            Change(1441860739),
            Change(1378792606),
            Change(3927944704),
            Round(2311970350, None),
            Tell(false),
            Change(1195098078),
            Round(645934243, None),
            Wait(2315561653),
            Round(4056458885, None),
            Round(1604105600, None),
            Start,
            Round(342237961, None),
            Change(1693637413),
        ],
    ),
    (
        "a directory of two names was forgotten when the one by which it waited went",
        19032,
        &[
            Round(3652188107, Some(6)),
            Change(1050498778),
            Start,
            Tell(false),
            Round(2797812016, None),
            Wait(1648335452),
            Round(2596351785, None),
            Round(3215983224, Some(13)),
            Start,
            Round(2384376395, None),
            Change(222311524),
            Round(3528539602, None),
        ],
    ),
];
