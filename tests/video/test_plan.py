from hypothesis import given
from hypothesis import strategies as st

from omnireel.video.decoder.bitstream.roles import Role
from omnireel.video.decoder.plan import Action, Picture, plan_packets

START, OPEN, LEAD, DROP, PLAIN = Role.START, Role.OPEN_START, Role.LEADING, Role.DROPPABLE, Role.PLAIN
SKIP, SEND, RESTART = Action.SKIP, Action.SEND, Action.RESTART


def plan(roles, wanted):
    """One picture per role; its pts is its position."""
    return plan_packets([Picture(i, role) for i, role in enumerate(roles)], wanted)


def test_a_picture_that_nothing_needs_is_left_out():
    assert plan([START, DROP, PLAIN, DROP, PLAIN], {4}) == [SEND, SKIP, SEND, SKIP, SEND]


def test_a_droppable_picture_is_sent_when_it_is_chosen():
    assert plan([START, DROP, PLAIN], {1, 2}) == [SEND, SEND, SEND]


def test_the_end_of_a_group_after_its_last_chosen_picture_is_left_out():
    assert plan([START, PLAIN, PLAIN, START, PLAIN], {1, 4}) == [SEND, SEND, SKIP, SEND, SEND]


def test_groups_without_a_chosen_picture_are_left_out():
    assert plan([START, PLAIN, START, PLAIN, START], {0, 4}) == [SEND, SKIP, SKIP, SKIP, SEND]


def test_pictures_before_the_first_start_form_a_group():
    assert plan([PLAIN, PLAIN, START], {1}) == [SEND, SEND, SKIP]


def test_an_open_group_after_a_gap_restarts_the_decoder_without_its_leading_pictures():
    assert plan([START, PLAIN, OPEN, LEAD, PLAIN], {4}) == [SKIP, SKIP, RESTART, SKIP, SEND]


def test_a_chosen_leading_picture_keeps_the_whole_group_before_it():
    assert plan([START, PLAIN, OPEN, LEAD, PLAIN], {3}) == [SEND, SEND, SEND, SEND, SKIP]


def test_an_open_group_without_a_gap_before_it_keeps_its_leading_pictures():
    assert plan([START, PLAIN, OPEN, LEAD, PLAIN], {1, 4}) == [SEND, SEND, SEND, SEND, SEND]


def test_nothing_is_skipped_in_a_stream_whose_parameters_change():
    assert plan([START, DROP, START, PLAIN | Role.CHANGES_PARAMETERS, START], {4}) == [SEND] * 5


ROLES = st.lists(
    st.sampled_from([START, OPEN, LEAD, LEAD | DROP, DROP, PLAIN, PLAIN]), min_size=1, max_size=40
)


@given(roles=ROLES, data=st.data())
def test_everything_a_chosen_picture_may_depend_on_is_sent(roles, data):
    wanted = data.draw(st.sets(st.integers(0, len(roles) - 1), min_size=1))
    actions = plan(roles, wanted)
    for position in wanted:
        assert actions[position] is not SKIP
        assert all(actions[i] is not SKIP for i in needed(roles, position))


def needed(roles, position):
    """Positions a picture may be predicted from, by the definition of the roles."""
    starts = [0] + [i for i in range(1, len(roles)) if roles[i] & (START | OPEN)]
    start = max(i for i in starts if i <= position)
    own = [i for i in range(start, position) if not roles[i] & DROP]
    if not roles[start] & OPEN:
        return own
    if roles[position] & LEAD and start > 0:
        before = max(i for i in starts if i < start)
        cold = roles[before] & OPEN
        return own + [i for i in range(before, start) if not roles[i] & (DROP | (LEAD if cold else PLAIN))]
    return [i for i in own if not roles[i] & LEAD]
