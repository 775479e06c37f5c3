//! Whose credentials a login or logout is about, and the rules that the document has for that.

/// A number that idibu gave to a portal, office, team or user: 1 to 2^63 - 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortalId(i64);

impl PortalId {
    /// The thing of that number, if there can be one.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        (number > 0).then_some(Self(number))
    }

    pub(super) fn text(self) -> String {
        self.0.to_string()
    }
}

/// The level at which credentials are saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// The whole account.
    Global,
    /// An office.
    Office,
    /// A team.
    Team,
    /// A user.
    Profile,
}

impl LinkKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Office => "office",
            Self::Team => "team",
            Self::Profile => "profile",
        }
    }
}

/// A level, and which one of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    kind: LinkKind,
    id: Option<PortalId>,
}

/// A level and an id that do not go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkProblem {
    /// An id, and no level that it is one of.
    LinkMissing,
    /// No id, where the level needs one.
    IdMissing,
    /// An id of the whole account, which `client` names.
    GlobalWithId,
    /// An id below 1.
    TooSmall,
}

impl LinkProblem {
    /// What to do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::LinkMissing => "an id needs a link that says what it is the id of; add the link, or leave out the id",
            Self::IdMissing => "office, team and profile need the id of the one that is meant",
            Self::GlobalWithId => "global is about the account that client names; leave out the id",
            Self::TooSmall => "the idibu id is 1 or above",
        }
    }
}

impl Link {
    /// What a level and an id mean together; nothing where neither is there.
    ///
    /// # Errors
    /// [`LinkProblem`].
    pub fn of(kind: Option<LinkKind>, id: Option<i64>) -> Result<Option<Self>, LinkProblem> {
        match (kind, id) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(LinkProblem::LinkMissing),
            (Some(kind @ LinkKind::Global), None) => Ok(Some(Self { kind, id: None })),
            (Some(LinkKind::Global), Some(_)) => Err(LinkProblem::GlobalWithId),
            (Some(_), None) => Err(LinkProblem::IdMissing),
            (Some(kind), Some(id)) => {
                let id = Some(PortalId::new(id).ok_or(LinkProblem::TooSmall)?);
                Ok(Some(Self { kind, id }))
            }
        }
    }

    pub(super) fn parameters(self, add: &mut dyn FnMut(&str, &str)) {
        add("link", self.kind.name());
        if let Some(id) = self.id {
            add("id", &id.text());
        }
    }
}
