//! Counts the frames that ask for work and are no call. It knows where an HTTP/2 frame begins and of what kind it is, and
//! nothing of what is in it.
//!
//! h2 answers every PING and SETTINGS, and ignores what it does not know, for as long as a client goes on. So the frames
//! between two that carry a call, either way, are counted: an honest client sends few, whatever it does.

/// The most other frames in a row.
const OTHERS_MAX: u32 = 1_000;

const HEADER_BYTES: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const END_STREAM: u8 = 0x1;

/// Where the frames of one direction begin.
#[derive(Debug, Default)]
struct Scan {
    header: [u8; HEADER_BYTES],
    /// How much of the header is known.
    known: usize,
    /// How much of the frame's payload is still to come.
    payload: usize,
}

impl Scan {
    /// Calls `each` with every frame that these bytes bring, and whether it carries a call.
    fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(bool)) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            let taken = (HEADER_BYTES - self.known).min(bytes.len());
            for (slot, byte) in self.header.iter_mut().skip(self.known).zip(bytes) {
                *slot = *byte;
            }
            self.known += taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.known == HEADER_BYTES {
                let [high, middle, low, kind, flags, ..] = self.header;
                let length = u32::from_be_bytes([0, high, middle, low]);
                self.known = 0;
                self.payload = usize::try_from(length).unwrap_or(usize::MAX);
                each(kind == HEADERS || kind == DATA && (length > 0 || flags & END_STREAM != 0));
            }
        }
    }
}

/// What has come and gone over a connection.
#[derive(Debug, Default)]
pub(super) struct Meter {
    received: Scan,
    sent: Scan,
    others: u32,
}

impl Meter {
    /// Bytes have come; answers whether they are a flood.
    pub(super) fn is_flooded_by(&mut self, received: &[u8]) -> bool {
        let (others, mut most) = (&mut self.others, 0);
        self.received.feed(received, |is_call| {
            *others = if is_call { 0 } else { *others + 1 };
            most = most.max(*others);
        });
        most > OTHERS_MAX
    }

    /// Bytes were sent: a client may have to say something to an answer.
    pub(super) fn sent(&mut self, sent: &[u8]) {
        let others = &mut self.others;
        self.sent.feed(sent, |is_call| {
            if is_call {
                *others = 0;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 0x6;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], payload].concat()
    }

    #[test]
    fn pings_without_a_call_between_are_a_flood() {
        let mut meter = Meter::default();
        let ping = frame(PING, 0, &[0; 8]);
        assert!(!meter.is_flooded_by(&ping.repeat(1_000)));
        assert!(meter.is_flooded_by(&ping));
    }

    #[test]
    fn a_flood_is_seen_even_where_a_call_follows_in_the_same_bytes() {
        let bytes = [frame(PING, 0, &[0; 8]).repeat(1_001), frame(HEADERS, 4, b"x")].concat();
        assert!(Meter::default().is_flooded_by(&bytes));
    }

    #[test]
    fn a_call_either_way_begins_the_count_again() {
        let ping = frame(PING, 0, &[0; 8]).repeat(900);
        for call in [frame(HEADERS, 4, b"x"), frame(DATA, 0, b"x"), frame(DATA, END_STREAM, b"")] {
            let mut meter = Meter::default();
            assert!(!meter.is_flooded_by(&[ping.clone(), call.clone(), ping.clone()].concat()));
            meter.sent(&call);
            assert!(!meter.is_flooded_by(&ping));
            meter.sent(&frame(PING, 1, &[0; 8]));
            assert!(meter.is_flooded_by(&ping));
        }
    }

    #[test]
    fn empty_data_is_no_call() {
        assert!(Meter::default().is_flooded_by(&frame(DATA, 0, b"").repeat(1_001)));
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut() {
        // A payload that looks like frames that carry a call is none.
        let bytes = frame(PING, 0, &[0, 0, 1, 1, 0, 0, 0, 0]).repeat(1_001);
        for size in 1..40 {
            let mut meter = Meter::default();
            let floods = bytes.chunks(size).filter(|chunk| meter.is_flooded_by(chunk)).count();
            assert!((1..=18).contains(&floods), "{size}: {floods}");
        }
    }
}
