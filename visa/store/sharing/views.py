"""Lists of many instances: for the portal's pages, and for the hub's watch. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, ColumnElement, Select, Text, and_, bindparam, cast, exists, func, or_, select
from sqlalchemy.orm import Session

from visa.instances.access import Role
from visa.instances.members import Approvers, Sharing
from visa.instances.model import Person
from visa.instances.support import Cover
from visa.store.sharing import rows, startup
from visa.store.sharing.acts import Part
from visa.store.sharing.records import (
    Asked,
    Entered,
    GatewayState,
    Listed,
    MemberView,
    Notifications,
    Page,
    RequestKind,
    RequestState,
)
from visa.store.store import HOLDING, instance_of, person_of
from visa.store.tables import (
    AccessRequestRow,
    AuditRow,
    ChangeRow,
    HelpRow,
    InstanceRow,
    MemberRow,
    PersonRow,
    QuotaHoldRow,
    SharingRow,
    StartupLookRow,
)

_RUNNING = InstanceRow.state.in_([state.value for state in HOLDING])
_PENDING = AccessRequestRow.state == RequestState.PENDING.value
_NUMBERS = (
    select(ChangeRow.__table__.c.instance_id, ChangeRow.__table__.c.number)
    .join(InstanceRow.__table__, InstanceRow.__table__.c.id == ChangeRow.__table__.c.instance_id)
    .where(InstanceRow.__table__.c.state.in_([state.value for state in HOLDING]))
)
_MOST = 100  # notifications of one kind
_ONE: BindParameter[str] = bindparam("instance")
_ANYTHING = (
    exists().where(MemberRow.instance_id == _ONE),
    exists().where(AccessRequestRow.instance_id == _ONE, _PENDING),
    exists().where(SharingRow.instance_id == _ONE),
    exists().where(HelpRow.instance_id == _ONE, HelpRow.closed_at.is_(None)),
    exists().where(StartupLookRow.instance_id == _ONE, StartupLookRow.found.is_(None)),
)
_GATEWAY = (
    select(ChangeRow.number, or_(*_ANYTHING).label("anything"))
    .select_from(InstanceRow)
    .outerjoin(ChangeRow, ChangeRow.instance_id == InstanceRow.id)
    .where(InstanceRow.id == _ONE)
)
_ANSWERS = timedelta(days=1)
_ENTERED = timedelta(days=7)


class Views(Part):
    """What the portal shows and the hub watches."""

    # the hub

    def numbers(self) -> dict[str, int]:
        """Of running instances, how often something changed. Asked every second: a plain query of two tables."""
        with self.store.engine.connect() as connection:
            return dict(connection.execute(_NUMBERS).all())

    def gateway(self, instance_id: str) -> GatewayState | None:
        """All that the instance's gateway must know. The number is read first: what is newer comes again."""
        with self.reading() as session:
            found = session.execute(_GATEWAY, {"instance": instance_id}).first()
            if found is None:
                return None
            number = found.number or 0
            if not found.anything:
                return GatewayState(number=number, members=(), sharing=Sharing(), requests=(), help=False)
            query = (
                select(MemberRow, PersonRow.name)
                .outerjoin(PersonRow, PersonRow.username == MemberRow.username)
                .where(MemberRow.instance_id == instance_id, PersonRow.active.is_not(False))
                .order_by(MemberRow.username)
            )
            members = [
                MemberView(rows.membership(one), name or one.username, True) for one, name in session.execute(query)
            ]
            waiting = select(AccessRequestRow).where(AccessRequestRow.instance_id == instance_id, _PENDING)
            asked = rows.requests(session, session.scalars(waiting.order_by(AccessRequestRow.id)))
            help_open = select(HelpRow.id).where(HelpRow.instance_id == instance_id, HelpRow.closed_at.is_(None))
            return GatewayState(
                number=number,
                members=tuple(members),
                sharing=rows.sharing(session, instance_id),
                requests=asked,
                help=session.scalar(help_open.limit(1)) is not None,
                look=startup.asked(session, instance_id),
            )

    def running_experiments(self) -> frozenset[str]:
        """Of all running instances: what instrument control's list needs the dates of."""
        with self.reading() as session:
            return frozenset(
                e for found in session.scalars(select(InstanceRow.experiments).where(_RUNNING)) for e in found
            )

    # the portal

    def shared_with(self, username: str, at: datetime) -> tuple[Listed, ...]:
        """Instances that she is a member of; those that run first, then the newest membership."""
        with self.reading() as session:
            query = (
                select(InstanceRow)
                .join(MemberRow, MemberRow.instance_id == InstanceRow.id)
                .where(MemberRow.username == username, or_(MemberRow.until.is_(None), MemberRow.until > at))
                .order_by(_RUNNING.desc(), MemberRow.since.desc(), InstanceRow.id)
            )
            return _listed(session, username, session.scalars(query).all())

    def supportable(
        self,
        username: str,
        cover: Cover,
        *,
        search: str = "",
        instrument: str | None = None,
        help_only: bool = False,
        offset: int = 0,
        limit: int = 50,
    ) -> Page:
        """Running instances of others that she may support; who asks for help comes first."""
        if cover.nothing:
            return Page((), 0)
        with self.reading() as session:
            conditions = [_RUNNING, InstanceRow.owner != username, *_found(search)]
            covered = _covered(session, cover)
            conditions += [] if covered is None else [covered]
            conditions += [_on_instruments([instrument])] if instrument else []
            conditions += [_asks_for_help()] if help_only else []
            total = session.scalar(select(func.count()).select_from(InstanceRow).where(*conditions)) or 0
            order = (_asks_for_help().desc(), InstanceRow.started_at.desc(), InstanceRow.id)
            page = select(InstanceRow).where(*conditions).order_by(*order).offset(offset).limit(limit)
            return Page(_listed(session, username, session.scalars(page).all()), total)

    def on_experiments(self, username: str, experiments: Iterable[str]) -> tuple[Listed, ...]:
        """Running instances with any of ``experiments``, hers too, by owner. The caller says who may see them."""
        wanted = [_with_experiment(identifier) for identifier in experiments]
        if not wanted:
            return ()
        with self.reading() as session:
            query = select(InstanceRow).where(_RUNNING, or_(*wanted)).order_by(InstanceRow.owner, InstanceRow.id)
            return _listed(session, username, session.scalars(query).all())

    def find_people(self, search: str, limit: int = 20) -> tuple[Person, ...]:
        """People who logged in once and are active, every word in name or user name."""
        words = [_like(word) for word in search.lower().split()]
        if not words:
            return ()
        with self.reading() as session:
            text = func.lower(PersonRow.name + " " + PersonRow.username)
            query = select(PersonRow).where(PersonRow.active, *(text.like(word, escape="\\") for word in words))
            found = session.scalars(query.order_by(PersonRow.name, PersonRow.username).limit(limit))
            return tuple(person_of(row) for row in found)

    def notifications(self, username: str, cover: Cover, at: datetime) -> Notifications:
        """What she should see on any page."""
        with self.reading() as session:
            return Notifications(
                asked=_asked(session, _to_answer(username, at)),
                help=self._help(session, username, cover),
                answers=_asked(session, _answers(username, at)),
                entered=_entered(session, username, at),
            )

    @staticmethod
    def _help(session: Session, username: str, cover: Cover) -> tuple[Listed, ...]:
        if cover.nothing:
            return ()
        covered = _covered(session, cover)
        conditions = [_RUNNING, InstanceRow.owner != username, _asks_for_help(HelpRow.taken_by.is_(None))]
        conditions += [] if covered is None else [covered]
        query = select(InstanceRow).where(*conditions).order_by(InstanceRow.started_at.desc()).limit(_MOST)
        return _listed(session, username, session.scalars(query).all())


def _listed(session: Session, username: str, instances: Sequence[InstanceRow]) -> tuple[Listed, ...]:
    """With the owner's name, and what ``username`` has to do with each, in four queries."""
    ids = [row.id for row in instances]
    if not ids:
        return ()
    names = rows.names(session, (row.owner for row in instances))
    mine = select(MemberRow).where(MemberRow.username == username, MemberRow.instance_id.in_(ids))
    members = {row.instance_id: rows.membership(row) for row in session.scalars(mine)}
    waiting = select(AccessRequestRow).where(
        AccessRequestRow.requester == username, AccessRequestRow.instance_id.in_(ids), _PENDING
    )
    requests = {one.instance_id: one for one in rows.requests(session, session.scalars(waiting))}
    open_help = select(HelpRow).where(HelpRow.instance_id.in_(ids), HelpRow.closed_at.is_(None))
    helps = {one.instance_id: one for one in rows.helps(session, session.scalars(open_help))}
    return tuple(
        Listed(
            instance=instance_of(row),
            owner_name=names.get(row.owner, row.owner),
            membership=members.get(row.id),
            request=requests.get(row.id),
            help=helps.get(row.id),
        )
        for row in instances
    )


# Conditions


def _like(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _found(search: str) -> list[ColumnElement[bool]]:
    """Every word in title, owner, owner's name, experiments or instrument."""
    name = select(PersonRow.name).where(PersonRow.username == InstanceRow.owner).scalar_subquery()
    fields = [InstanceRow.title, InstanceRow.owner, cast(InstanceRow.experiments, Text), func.coalesce(name, "")]
    found = []
    for word in search.lower().split()[:10]:
        like = _like(word)
        on_it = and_(*_instrument_of_it(), func.lower(QuotaHoldRow.key).like(like, escape="\\"))
        found.append(or_(*(func.lower(field).like(like, escape="\\") for field in fields), exists().where(on_it)))
    return found


def _instrument_of_it() -> tuple[ColumnElement[bool], ...]:
    return (QuotaHoldRow.instance_id == InstanceRow.id, QuotaHoldRow.kind == "instrument")


def _on_instruments(instruments: Iterable[str]) -> ColumnElement[bool]:
    return exists().where(*_instrument_of_it(), QuotaHoldRow.key.in_(list(instruments)))


def _with_experiment(identifier: str) -> ColumnElement[bool]:
    return cast(InstanceRow.experiments, Text).like(_like(f'"{identifier}"'), escape="\\")


def _asks_for_help(*more: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(HelpRow.instance_id == InstanceRow.id, HelpRow.closed_at.is_(None), *more)


def _covered(session: Session, cover: Cover) -> ColumnElement[bool] | None:
    """None: all are. Experiments are looked for here: databases read lists each in their own way."""
    if cover.everywhere:
        return None
    options = [_on_instruments(cover.instruments)] if cover.instruments else []
    if cover.experiments:
        found = session.execute(select(InstanceRow.id, InstanceRow.experiments).where(_RUNNING))
        options.append(InstanceRow.id.in_([row.id for row in found if cover.experiments & set(row.experiments)]))
    return or_(*options)


# Notifications


def _to_answer(username: str, at: datetime) -> Select[AccessRequestRow, InstanceRow]:
    """Requests that wait for her: on her own instances, and as a collaborator whom the owner lets answer."""
    lets = exists().where(
        SharingRow.instance_id == InstanceRow.id, SharingRow.approvers == Approvers.COLLABORATORS.value
    )
    hers = exists().where(
        MemberRow.instance_id == InstanceRow.id,
        MemberRow.username == username,
        MemberRow.role == Role.COLLABORATOR.value,
        or_(MemberRow.until.is_(None), MemberRow.until > at),
    )
    guest = AccessRequestRow.kind == RequestKind.GUEST.value
    conditions = (_PENDING, AccessRequestRow.expires > at, AccessRequestRow.requester != username)
    who = or_(InstanceRow.owner == username, and_(lets, hers, guest))
    return _requests().where(*conditions, who).order_by(AccessRequestRow.id).limit(_MOST)


def _answers(username: str, at: datetime) -> Select[AccessRequestRow, InstanceRow]:
    """To her own requests."""
    final = AccessRequestRow.state.in_([s.value for s in RequestState if s not in _HER_OWN])
    conditions = (AccessRequestRow.requester == username, final, AccessRequestRow.answered_at > at - _ANSWERS)
    return _requests().where(*conditions).order_by(AccessRequestRow.id.desc()).limit(_MOST)


_HER_OWN = (RequestState.PENDING, RequestState.CANCELLED)


def _requests() -> Select[AccessRequestRow, InstanceRow]:
    return select(AccessRequestRow, InstanceRow).join(InstanceRow, InstanceRow.id == AccessRequestRow.instance_id)


def _asked(session: Session, query: Select[AccessRequestRow, InstanceRow]) -> tuple[Asked, ...]:
    pairs = session.execute(query).all()
    requests = rows.requests(session, (pair[0] for pair in pairs))
    return tuple(Asked(request, instance_of(pair[1])) for request, pair in zip(requests, pairs, strict=True))


def _entered(session: Session, username: str, at: datetime) -> tuple[Entered, ...]:
    """Break-glass on her instances, from the audit trail: it stays when the instance is gone."""
    query = select(AuditRow).where(
        AuditRow.owner == username, AuditRow.action == "break-glass", AuditRow.allowed, AuditRow.at > at - _ENTERED
    )
    return tuple(
        Entered(
            instance_id=row.instance_id or "",
            by=row.actor,
            name=str(row.detail.get("name", row.actor)),
            at=row.at,
            role=Role(row.detail["role"]),
            reason=str(row.detail["reason"]),
        )
        for row in session.scalars(query.order_by(AuditRow.id.desc()).limit(_MOST))
    )
