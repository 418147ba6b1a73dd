import re
import tomllib
from typing import get_args

import pytest

from cloud.cylinders.reports.mapping import load_mappings
from cloud.incidents.steps import BEFORE_RELEASE
from cloud.model.account import AccountState
from cloud.model.alarm import SEVERITIES, AlarmState
from cloud.model.alarm_terms import FIGURES
from cloud.model.cylinder import Cause, CylinderFile, Destroyed, InspectionKind, Result
from cloud.model.cylinder_case import CaseState, FiguresBy
from cloud.model.cylinder_fill import FillState
from cloud.model.cylinder_notice import Channel, Language, NoticeState
from cloud.model.cylinder_records import AS_REGISTERED
from cloud.model.cylinder_report import ReportState
from cloud.model.incident import DeadlineKind, IncidentState, Verb
from cloud.model.organisation import OrganisationState, Quota
from cloud.model.receiver import FeedEvent, ReceiverKind, ReceiverState, StopReason
from cloud.model.remote import CommandState, ConfigState, MemberState, RolloutState
from cloud.organisations.base import Progress
from cloud.web.cylinder_cases import FACTS
from cloud.web.cylinder_fills import SHOWS
from cloud.web.cylinders import CALLS, MARKS
from cloud.web.first_steps import THINGS
from cloud.web.lifts import CODES, MADE, MEASURES, PLACE
from cloud.web.organisations import DECISIONS
from cloud.web.own_page import DONE
from cloud.web.rescue_view import ANSWERS, FIELDS, STEPS
from cloud.web.texts import FOLDER, LANGUAGES, load_texts
from cloud.web.visit import STATIC
from edge.decode.barcode import Finding as TextFinding
from protocols.catalog.divisions import Doubt
from protocols.catalog.points import kinds, load_points
from protocols.catalog.tags import Finding as TagFinding
from protocols.codes.recognise import Sure
from protocols.cylinders.base import Decision
from protocols.cylinders.base import State as CylinderState
from protocols.cylinders.watch import KINDS
from protocols.lifts.base import ContractKind, PartyPart
from protocols.lifts.base import State as LiftState
from protocols.lifts.chain import FaultKind as ChainFaultKind
from protocols.lifts.load import load_calendar
from protocols.lifts.records import load_kinds
from protocols.lifts.rules import DutyKind, DutyState
from protocols.readings import Quality
from protocols.records import FillFault
from tests.support.retention import shipped_rules

PAGES = FOLDER.parent
LIFT_FIELDS = (*CODES, *MADE, *MEASURES, *PLACE, "type_code", "maintenance_phone")


def test_languages_have_the_same_keys_and_places_to_fill() -> None:
    chinese, english = (load_texts(language) for language in LANGUAGES)
    assert chinese.keys() == english.keys()
    for key in chinese.keys():  # noqa: SIM118  # no dictionary
        places = [sorted(re.findall(r"\{(\w+)\}", t(key))) for t in (chinese, english)]
        assert places[0] == places[1], key


def test_files_are_those_of_the_languages() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(LANGUAGES)
    for path in FOLDER.glob("*.toml"):
        tomllib.loads(path.read_text())


def test_every_text_is_there_and_used() -> None:
    sources = [*PAGES.rglob("*.html"), *PAGES.glob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    used = set(re.findall(r"""\bt\(\s*["']([a-z_]+\.[a-z_]+)["']""", text))
    used |= set(re.findall(r"""["']([a-z_]+\.[a-z_]+)["'] if """, text))
    used |= set(re.findall(r""" else ["']([a-z_]+\.[a-z_]+)["']""", text))
    keys = load_texts("zh").keys()
    used |= {"alarm.cause", "alarm.consequence", "alarm.response"}  # by the annotation's name
    families = {"severity", "state", "quality", "evidence", "reason", "refused", "word", "step"}
    words = ("since", "action", "rows", "column", "only", "by", "confidence")
    families |= {"sign_on", *(f"data_{word}" for word in words)}
    families |= {
        "place",
        "finding",
        "config_state",
        "command_state",
        "rollout_state",
        "member_state",
        "audit_detail",
        "audit_state",
        "code_doubt",
        "code_refused",
        "code_sure",
    }
    families |= {"organisation_state", "organisation_step", "first_step", "quota", "thing", "wrong"}
    families |= {"alarm_figure", "alarm_confidence", "wrong_hold"}
    families |= {"hand"}  # in what a phone keeps: tests/cloud/web/test_hand.py
    families |= {"account_state", "account_done", "wrong_account"}
    families |= {"inspection_kind", "inspection_result", "wrong_cylinder"}
    families |= {
        f"cylinder_{name}" for name in ("state", "cause", "step", "how", "change", "field", "place")
    }
    families |= {
        "fill_state",
        "fill_fault",
        "fill_decision",
        "fills_show",
        "report_state",
        "report_kind",
    }
    families |= {"wrong_platform"}
    families |= {
        "wrong_receiver",
        *(f"receiver_{name}" for name in ("kind", "state", "why", "event", "signing")),
    }
    families |= {"wrong_notice", *(f"notice_{name}" for name in ("channel", "language", "state"))}
    families |= {"case_state", "case_fact", "case_short", "wrong_case", "figures_by", "calendar"}
    families |= {"wrong_lift", "lift_duty", "lift_duty_state", "lift_field", "lift_word"}
    families |= {
        f"lift_{name}" for name in ("state", "reason", "fault", "part", "contract", "group")
    }
    of_rescue = ("state", "step", "verb", "what", "due", "field", "say", "part", "door", "help")
    families |= {f"rescue_{word}" for word in (*of_rescue, "wrong", "by")}
    families |= {"link_now", "link_step", "link_say"}
    families |= {"trace_type", "trace_role", "trace_reason"}
    assert used - keys == set()
    assert {key for key in keys - used if key.partition(".")[0] not in families} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_data_rules_has_a_text(language: str) -> None:
    rules = shipped_rules().rules
    steps = [step for rule in rules for step in rule.step]
    named = {column for rule in rules for kept in rule.table for column in kept.personal}
    wanted = {f"data_column.{name}" for name in named.union(*(step.columns for step in steps))}
    wanted |= {f"data_since.{step.since}" for step in steps}
    wanted |= {f"data_action.{step.do}" for step in steps}
    wanted |= {f"data_rows.{step.table}" for step in steps if not step.columns}
    wanted |= {f"data_by.{step.by}" for step in steps if step.by != "job"}
    wanted |= {f"data_confidence.{one.confidence}" for rule in rules for one in rule.source}
    for step in steps:
        wanted |= {f"data_only.{word}" for words in step.where.values() for word in words}
    families = {word.partition(".")[0] for word in wanted}
    keys = load_texts(language).keys()
    texts = {key for key in keys if key.partition(".")[0] in families}
    assert texts == wanted


def _words_of_rescues() -> set[str]:
    wanted = {f"rescue_state.{name}" for name in get_args(IncidentState)}
    wanted |= {f"rescue_verb.{name}" for name in get_args(Verb)}
    wanted |= {f"rescue_due.{name}" for name in get_args(DeadlineKind)}
    wanted |= {f"rescue_what.due_{name}" for name in get_args(DeadlineKind)}
    wanted |= {f"rescue_field.{name}" for names in FIELDS.values() for name in names} - {
        "rescue_field.unit"
    }
    wanted |= {f"rescue_step.{name}" for _, name in STEPS}
    wanted |= {f"link_say.{name}" for name in ANSWERS}
    wanted |= {f"link_now.{name}" for name in BEFORE_RELEASE} | {"link_now.released"}
    return wanted


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_model_and_the_catalog_has_a_text(language: str) -> None:
    keys = load_texts(language).keys()
    wanted = {f"severity.{name}" for name in SEVERITIES}
    wanted |= {f"state.{name}" for name in get_args(AlarmState)}
    wanted |= {f"alarm_figure.{name}" for name in FIGURES}
    wanted |= {f"quality.{name}" for name in get_args(Quality)}
    wanted |= {f"config_state.{name}" for name in get_args(ConfigState)}
    wanted |= {f"command_state.{name}" for name in get_args(CommandState)}
    wanted |= {f"rollout_state.{name}" for name in get_args(RolloutState)}
    wanted |= {f"member_state.{name}" for name in get_args(MemberState)}
    wanted |= {f"organisation_state.{name}" for name in get_args(OrganisationState)}
    wanted |= {f"organisation_step.{step}" for steps in DECISIONS.values() for step in steps}
    wanted |= {f"account_state.{name}" for name in get_args(AccountState) if name != "gone"}
    wanted |= {f"account_done.{name}" for name in DONE}
    wanted |= {f"cylinder_state.{name}" for name in get_args(CylinderState)}
    wanted |= {f"cylinder_cause.{name}" for name in get_args(Cause)}
    wanted |= {f"fill_state.{name}" for name in get_args(FillState)}
    wanted |= {f"fill_fault.{name}" for name in get_args(FillFault)}
    wanted |= {f"notice_channel.{name}" for name in get_args(Channel)}
    wanted |= {f"notice_language.{name}" for name in get_args(Language)}
    wanted |= {f"notice_state.{name}" for name in get_args(NoticeState)}
    wanted |= {f"receiver_kind.{name}" for name in get_args(ReceiverKind)}
    wanted |= {f"receiver_state.{name}" for name in get_args(ReceiverState)}
    wanted |= {f"receiver_why.{name}" for name in get_args(StopReason)}
    wanted |= {f"receiver_event.{name}" for name in get_args(FeedEvent)}
    wanted |= {f"fill_decision.{name}" for name in get_args(Decision)}
    wanted |= {f"fills_show.{name}" for name in SHOWS}
    wanted |= {f"report_state.{name}" for name in get_args(ReportState)}
    wanted |= {f"report_kind.{one.id}" for one in load_mappings()}
    wanted |= {f"cylinder_how.{name}" for name in get_args(Destroyed)}
    wanted |= {f"cylinder_step.{step.replace('-', '_')}" for step in CALLS}
    wanted |= {f"inspection_kind.{name}" for name in (*get_args(InspectionKind), AS_REGISTERED)}
    wanted |= {f"inspection_result.{name}" for name in get_args(Result)}
    wanted |= {f"cylinder_field.{name}" for name in (*CylinderFile.__struct_fields__, *MARKS)}
    wanted |= _words_of_rescues()
    wanted |= {f"quota.{name}" for name in get_args(Quota)}
    wanted |= {f"case_fact.{name}" for name in FACTS}
    wanted |= {f"case_state.{name}" for name in get_args(CaseState)}
    wanted |= {f"case_short.{kind}" for kind in KINDS if kind not in ("due", "life_ending")}
    wanted |= {f"figures_by.{name}" for name in get_args(FiguresBy)}
    wanted |= {f"thing.{name}" for name in THINGS}
    wanted |= {f"code_doubt.{name}" for name in get_args(Doubt)}
    wanted |= {f"code_sure.{name}" for name in get_args(Sure) if name != "told"}
    first = Progress(used=dict.fromkeys(get_args(Quota), 0), contact=False).done()
    wanted |= {f"first_step.{name}{end}" for name in first for end in ("", "_hint")}
    for kind in kinds():
        for point in load_points(kind).values():
            if point.type == "word":
                wanted |= {f"word.{word}" for word in point.words}
    wanted |= {f"finding.{word}" for word in (*get_args(TagFinding), *get_args(TextFinding))}
    assert wanted - keys == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_lifts_has_a_text(language: str) -> None:
    wanted = {f"lift_state.{name}" for name in get_args(LiftState)}
    wanted |= {f"lift_duty.{name}" for name in get_args(DutyKind)}
    wanted |= {f"lift_duty_state.{name}" for name in get_args(DutyState)}
    wanted |= {f"lift_fault.{name}" for name in get_args(ChainFaultKind)}
    wanted |= {f"lift_part.{name}" for name in get_args(PartyPart)}
    wanted |= {f"lift_contract.{name}" for name in get_args(ContractKind)}
    wanted |= {f"lift_field.{name}" for name in LIFT_FIELDS}
    for record_kind in load_kinds().values():
        words = {*record_kind.signers, *(one for f in record_kind.fields for one in f.one_of)}
        wanted |= {f"lift_word.{word}" for word in words}
    wanted |= {f"lift_word.{one.level}" for one in load_calendar().maintenance.regular}
    assert wanted - load_texts(language).keys() == set()


def test_pages_load_nothing_from_elsewhere_and_run_no_inline_script() -> None:
    pages = [*PAGES.rglob("*.html"), *STATIC.glob("*.js"), *STATIC.glob("*.css")]
    pages += [*STATIC.glob("hand/*.js"), *STATIC.glob("hand/*.css")]
    for path in pages:
        text = path.read_text()
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", text), path
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"""\son[a-z]+=["']|\sstyle=|hx-on""", text), path
        assert "eval(" not in text, path
