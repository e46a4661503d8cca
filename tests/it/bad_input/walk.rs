//! Every field of a request, by its descriptor: where it is, and how to put something else there.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// A field, and the fields that it is inside of.
#[derive(Clone, Debug)]
pub(crate) struct Place(Vec<FieldDescriptor>);

/// All of a message, at any depth; of lists the first entry.
pub(crate) fn places(message: &MessageDescriptor) -> Vec<Place> {
    let mut places = Vec::new();
    for field in message.fields() {
        if let Some(inner) = inside(&field) {
            let under = |place: Place| Place(std::iter::once(field.clone()).chain(place.0).collect());
            places.extend(self::places(&inner).into_iter().map(under));
        }
        places.push(Place(vec![field]));
    }
    places
}

fn inside(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if !field.is_map() && !message.full_name().starts_with("google.protobuf.") => {
            Some(message)
        }
        _ => None,
    }
}

impl Place {
    pub(crate) fn field(&self) -> &FieldDescriptor {
        self.0.last().unwrap()
    }

    pub(crate) fn is_text(&self) -> bool {
        !self.field().is_map() && matches!(self.field().kind(), Kind::String)
    }

    pub(crate) fn is_choice(&self) -> bool {
        !self.field().is_map() && matches!(self.field().kind(), Kind::Enum(_))
    }

    pub(crate) fn is_mask(&self) -> bool {
        matches!(self.field().kind(), Kind::Message(message) if message.name() == "FieldMask")
    }

    /// Whether it is a message of ours, or a list of such.
    pub(crate) fn is_container(&self) -> bool {
        inside(self.field()).is_some()
    }

    /// As violations name it; the first entry of a list.
    pub(crate) fn path(&self) -> String {
        let name = |field: &FieldDescriptor| {
            if field.is_list() { format!("{}[0]", field.name()) } else { field.name().to_owned() }
        };
        self.0.iter().map(name).collect::<Vec<_>>().join(".")
    }

    /// As violations name a list or map itself.
    pub(crate) fn whole_path(&self) -> String {
        self.path().trim_end_matches("[0]").to_owned()
    }

    /// What it is inside of; empty at the top.
    pub(crate) fn parent_path(&self) -> String {
        Self(self.0[..self.0.len() - 1].to_vec()).path()
    }

    /// Whether all around it, and itself, is in a request.
    pub(crate) fn is_in(&self, request: &DynamicMessage) -> bool {
        self.value(request).is_some()
    }

    /// Whether all around it is in a request.
    pub(crate) fn has_room_in(&self, request: &DynamicMessage) -> bool {
        let one_of = self.field().containing_oneof();
        self.0.len() == 1 || Self(self.0[..self.0.len() - 1].to_vec()).is_in(request) && one_of.is_none()
    }

    fn value(&self, request: &DynamicMessage) -> Option<Value> {
        let (field, rest) = self.0.split_first().unwrap();
        if !request.has_field(field) {
            return None;
        }
        let value = request.get_field(field).into_owned();
        if rest.is_empty() {
            return Some(value);
        }
        Self(rest.to_vec()).value(&first(value, field))
    }

    /// The entry that is in a list, or a new one.
    pub(crate) fn entry(&self, request: &DynamicMessage) -> Value {
        match self.value(request) {
            Some(Value::List(list)) => list[0].clone(),
            _ => Value::default_value(&self.field().kind()),
        }
    }

    /// The request with another value there; of a list, its only entry.
    pub(crate) fn with(&self, request: &DynamicMessage, value: Value) -> DynamicMessage {
        let value = if self.field().is_list() { Value::List(vec![value]) } else { value };
        self.with_whole(request, Some(value))
    }

    /// The request with another value there, or without one.
    pub(crate) fn with_whole(&self, request: &DynamicMessage, value: Option<Value>) -> DynamicMessage {
        let mut request = request.clone();
        set(&mut request, &self.0, value);
        request
    }

    /// The field alone, around bytes of any kind.
    pub(crate) fn encoded(&self, inside: &[u8]) -> Vec<u8> {
        self.0.iter().rev().fold(inside.to_vec(), |inside, field| {
            [varint(field.number() << 3 | 2), varint(inside.len().try_into().unwrap()), inside].concat()
        })
    }
}

fn first(value: Value, field: &FieldDescriptor) -> DynamicMessage {
    match value {
        Value::Message(message) => message,
        Value::List(mut entries) if !entries.is_empty() => first(entries.swap_remove(0), field),
        _ => match field.kind() {
            Kind::Message(message) => DynamicMessage::new(message),
            other => panic!("{} is a {other:?}", field.full_name()),
        },
    }
}

fn set(message: &mut DynamicMessage, steps: &[FieldDescriptor], value: Option<Value>) {
    let (field, rest) = steps.split_first().unwrap();
    match value {
        value if !rest.is_empty() => {
            let mut inner = first(message.get_field(field).into_owned(), field);
            set(&mut inner, rest, value);
            let inner = Value::Message(inner);
            message.set_field(field, if field.is_list() { Value::List(vec![inner]) } else { inner });
        }
        Some(value) => message.set_field(field, value),
        None => message.clear_field(field),
    }
}

pub(crate) fn varint(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}
