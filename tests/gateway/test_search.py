"""Search: what people ask for in their own words is found, quickly, in an answer that a model can afford."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from roundhouse.gateway.catalogue import Part, Route, part_of
from roundhouse.gateway.search import ANSWER_BYTES, DETAILED, MOST_HITS, Found, Index, answer
from roundhouse.gateway.words import stem, terms
from roundhouse.model.servers import ServerSpec
from tests.gateway.corpus import definition, definitions, part, parts
from tests.pace import slowness

# What somebody asks, and the tools that are right answers.
QUESTIONS = """
open a new issue on github -> github__create_issue
comment on a github issue -> github__add_issue_comment
show me the open pull requests -> github__list_pull_requests
merge a PR -> github__merge_pull_request
what changed in this pull request -> github__get_pull_request_diff github__get_pull_request_files
did the CI checks pass on my PR -> github__get_pull_request_status
approve a pull request -> github__create_and_submit_pull_request_review
search source code on github -> github__search_code
fork this repo -> github__fork_repository
find repositories about machine learning -> github__search_repositories
re-run the failed jobs -> github__rerun_failed_jobs
newest release of a project -> github__get_latest_release
trigger a github action -> github__run_workflow
close an issue on github -> github__update_issue
who am I on github -> github__get_me
star this repository -> github__star_repository
read the README in a repo -> github__get_file_contents
commit several files at once -> github__push_files
see comments of an issue -> github__get_issue_comments
github dependabot vulnerabilities -> github__list_dependabot_alerts
unread github notifications -> github__list_notifications
unstaged changes in my working directory -> git__git_diff_unstaged
switch to another branch -> git__git_checkout
commit history -> git__git_log github__list_commits
stage files for commit -> git__git_add
clone a repository -> git__git_clone
put my changes aside for later -> git__git_stash
undo staging -> git__git_reset
difference between two branches -> git__git_diff
push to origin -> git__git_push
read a file from disk -> filesystem__read_text_file
rename a file -> filesystem__move_file
delete a file from my disk -> filesystem__remove_file
make a new folder -> filesystem__create_directory
find files by name -> filesystem__search_files
how big is this file and when was it modified -> filesystem__get_file_info filesystem__list_directory_with_sizes
write text to a file -> filesystem__write_file
show a directory tree -> filesystem__directory_tree
replace a line in a text file -> filesystem__edit_file
look at a picture file -> filesystem__read_media_file
which directories may I access -> filesystem__list_allowed_directories
last 50 lines of a file -> filesystem__read_text_file
send a message to the team channel -> slack__slack_post_message
answer in a slack thread -> slack__slack_reply_to_thread
react with an emoji -> slack__slack_add_reaction
DM somebody -> slack__slack_send_direct_message
recent messages in a channel -> slack__slack_get_channel_history
invite people to a slack channel -> slack__slack_invite_to_channel
find what was said about the release on slack -> slack__slack_search_messages
run a select statement -> sqlite__read_query
which tables are in the database -> sqlite__list_tables
insert rows into sqlite -> sqlite__write_query
columns of a table -> sqlite__describe_table
slowest queries -> postgres__get_top_queries
why is my sql query slow, execution plan -> postgres__explain_query
recommend indexes for queries -> postgres__analyze_query_indexes
open a web page -> browser__browser_navigate
take a screenshot -> browser__browser_take_screenshot
click the login button -> browser__browser_click
fill in a form -> browser__browser_fill_form
execute javascript in the page -> browser__browser_evaluate
save the page as pdf -> browser__browser_pdf_save
press enter -> browser__browser_press_key
choose from a dropdown -> browser__browser_select_option
go back one page -> browser__browser_navigate_back
accept the alert dialog -> browser__browser_handle_dialog
drag and drop -> browser__browser_drag
network traffic of the page -> browser__browser_network_requests
javascript console errors -> browser__browser_console_messages
schedule a meeting with Anna tomorrow -> calendar__create_event
am I free on friday afternoon -> calendar__get_freebusy
cancel my appointment -> calendar__delete_event
decline an invitation -> calendar__respond_to_event
what is on my calendar today -> calendar__list_events
reschedule an event -> calendar__update_event
list all pods -> kubernetes__pods_list
logs of a crashing pod -> kubernetes__pods_log
scale a deployment to 5 replicas -> kubernetes__deployments_scale
restart deployment -> kubernetes__deployments_restart
cpu and memory usage of pods -> kubernetes__pods_top
run a shell command inside a pod -> kubernetes__pods_exec
install a helm chart -> kubernetes__helm_install
uninstall helm release -> kubernetes__helm_uninstall
apply a yaml manifest -> kubernetes__resources_create_or_update
k8s namespaces -> kubernetes__namespaces_list
forward port 8080 -> kubernetes__port_forward
node memory consumption -> kubernetes__nodes_top
kuberentes events -> kubernetes__events_list
create a jira ticket -> jira__jira_create_issue
move a jira ticket to done -> jira__jira_transition_issue
log time on an issue -> jira__jira_add_worklog
what is in the current sprint -> jira__jira_get_sprint_issues jira__jira_get_sprints_from_board
assign a ticket to somebody -> jira__jira_assign_issue
link two jira issues as duplicates -> jira__jira_link_issues
search jira with JQL -> jira__jira_search
send an e-mail -> mail__send_email
look for mails from my boss -> mail__search_emails
serch emails -> mail__search_emails
download the attachment of a mail -> mail__download_attachment
mark email as unread -> mail__mark_as_read
out of office reply -> mail__set_vacation_responder
forward this email -> mail__forward_email
draft a mail -> mail__draft_email
gmail labels -> mail__list_email_labels
rule that sorts incoming mail -> mail__create_filter
remember that I like tea -> memory__add_observations memory__create_entities memory__create_relations
search the knowledge graph -> memory__search_nodes
deleting a relation from the graph -> memory__delete_relations
forget an entity -> memory__delete_entities
stop a running container -> docker__stop_container
build an image from a Dockerfile -> docker__build_image
docker logs -> docker__fetch_container_logs
docker compose -> docker__compose_up
pull the latest image -> docker__pull_image
delete container -> docker__remove_container
list contaners -> docker__list_containers
what time is it in Tokyo -> time__get_current_time
convert time between time zones -> time__convert_time
google something on the web -> web__brave_web_search
latest news about elections -> web__brave_news_search
download a web page as markdown -> web__fetch
fetch url -> web__fetch
will it rain tomorrow, forecast -> weather__get-forecast
how warm is it right now -> weather__get-current-conditions
weather warnings -> weather__get-alerts
directions from A to B -> maps__maps_directions
coordinates of an address -> maps__maps_geocode
restaurants nearby -> maps__maps_search_places web__brave_local_search
how far is it from Berlin to Paris -> maps__maps_distance_matrix
elevation of a mountain -> maps__maps_elevation
which song is playing -> spotify__getNowPlaying
skip this song -> spotify__skipToNext
make a playlist -> spotify__createPlaylist
turn the volume down -> spotify__setVolume
pause the music -> spotify__pausePlayback
add songs to my playlist -> spotify__addTracksToPlaylist
root cause of a production error -> sentry__analyze_issue_with_seer
mark a sentry issue as resolved -> sentry__update_issue
share a document with a colleague -> drive__drive_share_file
append rows to a spreadsheet -> drive__sheets_append_rows
upload a file to google drive -> drive__drive_upload_file
change a cell in google sheets -> drive__sheets_update_cell
new slide deck -> drive__slides_create_presentation
refund a payment -> stripe__create_refund
account balance -> stripe__retrieve_balance
send an invoice to a customer -> stripe__create_invoice stripe__finalize_invoice
cancel a subscription -> stripe__cancel_subscription
list stripe customers -> stripe__list_customers
payment link -> stripe__create_payment_link
create a notion page -> notion__API-post-page
query a notion database -> notion__API-post-database-query
append a paragraph to a notion page -> notion__API-patch-block-children
"""
EXPECTED = {
    question: right.split()
    for question, _, right in (line.partition(" -> ") for line in QUESTIONS.strip().splitlines())
}

Names = Callable[[str], list[str]]


def index(**tools: list[dict[str, Any]]) -> Index:
    """An index of servers with these tools."""
    made = Index()
    made.update({server: part(server, *listed) for server, listed in tools.items()})
    return made


def names(found: Found) -> list[str]:
    return [hit.name for hit in found.hits]


def sizeof(told: dict[str, Any]) -> int:
    """Bytes of an answer as it leaves."""
    return len(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode())


def thousand() -> dict[str, Part]:
    """More than a thousand tools: everything four times, under other names."""
    return {
        f"{server}{copy}": part(f"{server}{copy}", *tools)
        for copy in ("", "-two", "-three", "-four")
        for server, tools in definitions().items()
    }


def quickest(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of processor time of the quickest of some runs, so that it does not matter what else runs."""

    def once() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return min(once() for _ in range(times))


@pytest.fixture(scope="module")
def everything() -> Index:
    made = Index()
    made.update(parts())
    return made


@pytest.fixture(scope="module")
def a_thousand() -> Index:
    made = Index()
    made.update(thousand())
    return made


# -- what is found


def hit_rates(ask: Names) -> tuple[float, float]:
    """How often a right tool is first, and among the first three."""
    found = {question: ask(question)[:3] for question in EXPECTED}
    first = sum(got[:1] != [] and got[0] in EXPECTED[question] for question, got in found.items())
    three = sum(not set(got).isdisjoint(EXPECTED[question]) for question, got in found.items())
    return first / len(EXPECTED), three / len(EXPECTED)


def naive(entries: list[dict[str, Any]]) -> Names:
    """A search that puts tools in the order of how many words of the question their name and description contain."""

    def ask(question: str) -> list[str]:
        words = question.lower().split()

        def count(entry: dict[str, Any]) -> int:
            return sum(word in f"{entry['name']} {entry['description']}".lower() for word in words)

        return [entry["name"] for entry in sorted(entries, key=count, reverse=True)]

    return ask


def test_a_question_in_plain_words_finds_its_tool_first_or_nearly_so(everything: Index) -> None:
    entries = [json.loads(entry) for part in parts().values() for entry in part.entries]
    known = {entry["name"] for entry in entries}
    assert len(known) >= 200
    assert len(EXPECTED) >= 60
    assert known.issuperset(name for right in EXPECTED.values() for name in right)
    first, three = hit_rates(lambda question: names(everything.search(question)))
    assert three >= 0.9
    assert first >= 0.7
    naive_first, naive_three = hit_rates(naive(entries))
    assert naive_first < first - 0.2
    assert naive_three < three - 0.2


@pytest.mark.parametrize("name", ["github__create_issue", "GITHUB__CREATE_ISSUE", "github__get_me", "web__fetch"])
def test_the_exact_public_name_comes_first(everything: Index, name: str) -> None:
    assert names(everything.search(name))[0] == name.lower()
    assert names(everything.search(f"how do I call `{name}`, please?"))[0] == name.lower()


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("search_issues", {"github__search_issues", "sentry__search_issues"}),
        ("query", {"postgres__query"}),
        ("fetch", {"web__fetch"}),
        ("getNowPlaying", {"spotify__getNowPlaying"}),
        ("API-post-page", {"notion__API-post-page"}),
    ],
)
def test_the_exact_name_of_a_tool_finds_it_on_every_server_that_has_it(
    everything: Index, name: str, public: set[str]
) -> None:
    found = names(everything.search(name))
    assert set(found[: len(public)]) == public


def test_a_word_of_a_sentence_is_no_exact_name() -> None:
    made = index(a=[definition("list", "Shows pets.")], b=[definition("list_orders", "All orders of a customer.")])
    assert names(made.search("list the orders"))[0] == "b__list_orders"


def test_a_name_that_had_to_be_shortened_is_found_by_the_servers_own() -> None:
    own = "summarize_the_quarterly_revenue_of_all_subsidiaries_by_region"
    made = index(a=[definition(own, "")], b=[definition("x", "Nothing about revenue.")])
    assert made.search(own).hits[0].name.startswith("a__summarize")
    assert made.search("subsidiaries").hits[0].name.startswith("a__summarize")


def test_a_renamed_tool_is_found_by_both_names() -> None:
    renamed = part_of(
        ServerSpec("crm", rename={"op_17": "merge_contacts"}),
        [
            Raw(json.dumps(definition("op_17", "Joins two.")).encode()),
            Raw(json.dumps(definition("op_18", "x")).encode()),
        ],
    )
    made = Index()
    made.update({"crm": renamed})
    assert names(made.search("merge contacts")) == ["crm__merge_contacts"]
    assert names(made.search("op_17"))[0] == "crm__merge_contacts"


def test_bare_names_without_their_server_are_found_too() -> None:
    entry = json.dumps(definition("merge_contacts", "Joins two.")).encode()
    made = Index()
    made.update({"crm": Part((entry,), {"merge_contacts": Route("crm", b'"merge_contacts"')})})
    assert names(made.search("merge contacts of crm")) == ["merge_contacts"]


@pytest.mark.parametrize(
    ("asked", "because"),
    [
        ("widgetry", "its name"),
        ("polishing", "its title"),
        ("lathe", "its description"),
        ("spindles", "a parameter's name"),
        ("revolutions", "a parameter's description"),
        ("clockwise", "a value of an enumeration"),
        ("coolant", "a parameter within a parameter"),
        ("nozzle", "a parameter within a list"),
        ("workshop", "its server's name"),
    ],
)
def test_a_tool_is_found_by_everything_that_is_said_of_it(asked: str, because: str) -> None:
    properties = {
        "spindleSpeed": {"type": "number", "description": "In revolutions a minute."},
        "direction": {"enum": ["clockwise", "other", 7]},
        "options": {"type": "object", "properties": {"coolant": {"type": "string"}}},
        "tips": {"type": "array", "items": {"anyOf": [{"properties": {"nozzle": {}}}, {"type": "null"}]}},
    }
    made = index(
        other=[definition("unrelated", "Does something else.")],
        my_workshop=[
            {
                "name": "make_widgetry",
                "title": "Polish",
                "description": "Turns. Needs a lathe.",
                "inputSchema": {"type": "object", "properties": properties},
            }
        ],
    )
    assert names(made.search(asked)) == ["my_workshop__make_widgetry"], because


def test_a_name_counts_more_than_a_description_and_that_more_than_a_parameter() -> None:
    made = index(
        a=[definition("c", "Something.", "x = about parcels")],
        b=[definition("parcels", "Something.")],
        d=[definition("c", "Has to do with parcels.")],
    )
    assert names(made.search("parcels")) == ["b__parcels", "d__c", "a__c"]


@pytest.mark.parametrize(
    "asked", ["parcel", "parcels", "Parcels", "PARCELS!", "parcle", "parcells", "parcl", "pacrel", "parc"]
)
def test_plural_case_a_slip_of_the_finger_or_a_missing_end_do_not_matter(asked: str) -> None:
    made = index(a=[definition("track_parcel", "Where it is.")], b=[definition("weigh_letter", "How heavy it is.")])
    assert names(made.search(asked)) == ["a__track_parcel"]


def test_what_is_spelt_right_comes_before_what_is_only_near() -> None:
    made = index(a=[definition("list_forms", "Forms."), definition("list_farms", "Farms.")])
    assert names(made.search("farms")) == ["a__list_farms"]


def test_a_short_word_has_no_neighbours() -> None:
    assert index(a=[definition("cat", "Meows.")]).search("bat").total == 0


@pytest.mark.parametrize(
    ("asked", "tool"),
    [
        ("erase document", "remove_file"),
        ("dir contents", "list_directory"),
        ("look up repos", "search_repositories"),
        ("download page", "fetch_url"),
        ("PRs", "list_pull_requests"),
    ],
)
def test_words_that_mean_the_same_find_each_other(asked: str, tool: str) -> None:
    tools = ["remove_file", "list_directory", "search_repositories", "fetch_url", "list_pull_requests"]
    made = index(a=[definition(name, "") for name in tools])
    assert names(made.search(asked))[0] == f"a__{tool}"


def test_the_very_word_comes_before_one_that_means_the_same() -> None:
    made = index(a=[definition("erase_item", ""), definition("delete_item", ""), definition("remove_item", "")])
    assert names(made.search("remove item"))[0] == "a__remove_item"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("queries", "query"),
        ("boxes", "box"),
        ("deleted", "deleting"),
        ("committed", "commit"),
        ("cancelled", "cancel"),
        ("translation", "translate"),
        ("classes", "class"),
        ("statuses", "status"),
    ],
)
def test_endings_do_not_matter(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_words_that_only_look_alike_stay_apart() -> None:
    apart = [
        "news",
        "new",
        "string",
        "strings_",
        "thing",
        "status",
        "state",
        "station",
        "date",
        "database",
        "time",
        "item",
    ]
    assert len({stem(word) for word in apart}) == len(apart)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("Öffnet die Tür.", "tür"),
        ("Öffnet die Tür.", "TUR"),
        ("ファイルを検索します", "検索"),
        ("搜索文件内容", "文件"),
        ("\uff26\uff55\uff4c\uff4c", "full"),
        ("Ищет письма", "письма"),
        ("straße", "strasse"),
    ],
)
def test_other_scripts_are_searched_as_well(said: str, asked: str) -> None:
    made = index(a=[definition("one", said)], b=[definition("two", "Nothing of the kind.")])
    assert names(made.search(asked)) == ["a__one"]


def test_a_rare_word_that_means_the_same_does_not_come_before_the_common_one_that_was_asked_for() -> None:
    common = [definition(f"list_{thing}", "") for thing in ("apples", "pears", "plums", "figs", "nuts")]
    made = index(a=[definition("enumerate_berries", ""), *common])
    found = names(made.search("list"))
    assert found[-1] == "a__enumerate_berries"
    assert len(found) == 6


def test_a_tool_that_shares_but_a_common_word_is_no_match() -> None:
    others = [
        definition(f"{verb}_account", f"Can {verb} it.", "how = The issue") for verb in ("audit", "lock", "charge")
    ]
    made = index(a=[definition("create_issue", "Creates an issue."), *others])
    assert names(made.search("create an issue")) == ["a__create_issue"]


# -- the index


class Watched(tuple[bytes, ...]):
    """Entries that note how often they were read."""

    reads = 0

    def __iter__(self) -> Iterator[bytes]:
        self.reads += 1
        return super().__iter__()


def watched(server: str, *tools: dict[str, Any]) -> tuple[Part, Watched]:
    made = part(server, *tools)
    entries = Watched(made.entries)
    return Part(entries, made.routes), entries


def test_a_part_is_read_once_for_as_long_as_it_is_the_same() -> None:
    same, entries = watched("a", definition("say", "Speaks."))
    made = Index()
    made.update({"a": same})
    assert entries.reads == 0  # nobody has searched
    made.search("say")
    made.update({"a": same, "b": part("b", definition("sing", "Sings."))})
    assert {*names(made.search("say or sing"))} == {"a__say", "b__sing"}
    assert entries.reads == 1


def test_what_changed_is_searched_as_it_is_now() -> None:
    made = index(a=[definition("say", "Speaks.")], b=[definition("sing", "Sings.")])
    assert names(made.search("speaks")) == ["a__say"]
    made.update({"a": part("a", definition("shout", "Speaks up."))})
    assert names(made.search("speaks")) == ["a__shout"]
    assert made.search("sings").total == 0
    assert made.search("singz").total == 0
    made.update({})
    assert made.search("speaks") == Found("speaks", (), 0, {})


def test_a_hit_is_the_definition_that_the_catalogue_has() -> None:
    made = part("a", definition("say", "Says it. Twice.", "text! = What"))
    searched = Index()
    searched.update({"a": made})
    (hit,) = searched.search("say").hits
    assert (hit.name, hit.server, hit.summary, hit.entry) == ("a__say", "a", "Says it.", made.entries[0])
    assert hit.score > 0


@pytest.mark.parametrize(
    ("description", "summary"),
    [
        ("Adds two numbers. Returns the sum.", "Adds two numbers."),
        ("Reads a file, e.g. a script. Fails if there is none.", "Reads a file, e.g. a script."),
        ("Creates an issue\n\nArgs:\n  title: its title", "Creates an issue"),
        ("Creates\nan   issue", "Creates an issue"),
        ("検索します。結果を返します。", "検索します"),
        ("\u202ehidden\u202c \x1b[31mred\x1b[0m", "hidden red"),
        ("x" * 500, "x" * 160 + "..."),
        ("", ""),
    ],
)
def test_a_summary_is_the_first_sentence_fit_to_be_shown(description: str, summary: str) -> None:
    assert index(a=[definition("say", description)]).search("say").hits[0].summary == summary


def test_a_tool_without_a_description_is_summed_up_by_its_title() -> None:
    bare = {"name": "a", "inputSchema": {"type": "object"}}
    made = index(x=[{**bare, "title": "First"}], y=[{**bare, "annotations": {"title": "Second"}}])
    assert [hit.summary for hit in made.search("").hits] == ["First", "Second"]


# -- what is told


def test_every_answer_over_a_thousand_tools_fits_two_thousand_tokens(a_thousand: Index) -> None:
    assert sum(a_thousand.search("").servers.values()) >= 1_000
    for question in [*EXPECTED, "", "list", "file", "nothing of the kind: xyzzy", "a__b"]:
        told = answer(a_thousand.search(question))
        assert sizeof(told) <= ANSWER_BYTES == 6_400, question


def test_the_best_hits_come_with_their_exact_schema_and_the_others_with_a_sentence(everything: Index) -> None:
    told = answer(everything.search("create an issue on github"))
    written = {f"github__{tool['name']}": tool for tool in definitions()["github"]}
    first, *others = told["tools"]
    assert first == {
        "name": "github__create_issue",
        "description": "Create a new issue in a GitHub repository.",
        "inputSchema": written["github__create_issue"]["inputSchema"],
    }
    assert len(others) >= DETAILED
    assert all(set(tool) == {"name", "description"} for tool in others[DETAILED:])
    assert told["matches"] >= len(told["tools"])
    assert 'call_tool {"name":"github__create_issue","arguments":{}}' in told["hint"]
    assert "describe_tool" in told["hint"]


def test_a_schema_larger_than_its_share_is_told_as_names_and_types() -> None:
    properties: dict[str, Any] = {
        "size": {"type": "integer", "description": "x" * 3_000},
        "kind": {"enum": ["a", "b", "c", "d", "e", "f", "g"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "when": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "ids": {"type": ["string", "integer"]},
        "any": True,
        "of": {"$ref": "#/$defs/x"},
        "path": {"type": "string"},
    }
    schema = {"type": "object", "properties": properties, "required": ["path"]}
    made = index(a=[{"name": "say", "description": "Speaks.", "inputSchema": schema}])
    told = answer(made.search("say"))
    assert told["tools"] == [
        {
            "name": "a__say",
            "description": "Speaks.",
            "parameters": [
                "path: string, required",
                "size: integer",
                "kind: one of a, b, c, d, e, f, ...",
                "tags: array of string",
                "when: string or null",
                "ids: string or integer",
                "any: any",
                "of: any",
            ],
        }
    ]
    assert "describe_tool" in told["hint"]


def test_of_very_many_parameters_the_required_ones_are_told_first() -> None:
    properties = {f"parameter_{number}": {"type": "string", "description": "y" * 50} for number in range(500)}
    schema = {"type": "object", "properties": properties, "required": ["parameter_499"]}
    told = answer(index(a=[{"name": "say", "inputSchema": schema}]).search("say"))
    lines = told["tools"][0]["parameters"]
    assert lines[0] == "parameter_499: string, required"
    assert lines[-1] == "and 476 more"


def test_a_question_that_nothing_answers_shows_which_servers_there_are(everything: Index) -> None:
    told = answer(everything.search("xyzzy"))
    assert (told["matches"], told["tools"]) == (0, [])
    assert told["servers"]["github"] == len(definitions()["github"])
    assert set(told["servers"]) == set(definitions())
    assert "list_servers" in told["hint"]


@pytest.mark.parametrize("nothing", ["", "   ", "\n\t"])
def test_an_empty_question_shows_servers_and_the_first_tools_of_each(everything: Index, nothing: str) -> None:
    found = everything.search(nothing)
    servers = list(definitions())
    assert [hit.server for hit in found.hits] == (servers * 2)[:MOST_HITS]
    told = answer(found)
    assert told["matches"] == sum(map(len, definitions().values())) == sum(told["servers"].values())
    assert told["tools"][0] == {
        "name": "github__create_issue",
        "description": "Create a new issue in a GitHub repository.",
    }


def test_an_empty_catalogue_is_searched_without_a_word() -> None:
    assert answer(Index().search(""))["tools"] == []
    assert answer(Index().search("anything"))["matches"] == 0


def test_all_matches_are_counted_and_only_so_many_returned() -> None:
    made = index(a=[definition(f"send_{number}", "Sends.") for number in range(50)])
    found = made.search("send", limit=5)
    assert (len(found.hits), found.total) == (5, 50)
    assert "narrow" in answer(found)["hint"]


@settings(deadline=None, max_examples=60)
@given(st.integers(1_000, 10_000), st.sampled_from(["issue", "", "file read", "search", "xyzzy"]))
def test_an_answer_keeps_to_any_budget(a_thousand: Index, budget: int, question: str) -> None:
    assert sizeof(answer(a_thousand.search(question), budget)) <= budget


# -- how long it takes


def test_a_search_over_a_thousand_tools_takes_less_than_ten_milliseconds(a_thousand: Index) -> None:
    a_thousand.search("warm it up with an unknown word: xyzzy")
    for question in [*list(EXPECTED)[::10], "", "list get file", "kuberentes contaners", " ".join(EXPECTED)]:
        assert quickest(lambda question=question: a_thousand.search(question)) < 0.010, question  # type: ignore[misc]


def test_a_thousand_tools_are_indexed_in_less_than_a_tenth_of_a_second() -> None:
    servers = thousand()

    def build() -> None:
        fresh = Index()
        fresh.update(servers)
        fresh.search("issue")

    assert quickest(build) < 0.100 * slowness()


def test_exchanging_one_server_of_many_costs_next_to_nothing(a_thousand: Index) -> None:
    servers = thousand()
    git = definitions()["git"]
    fresh = Index()
    fresh.update(servers)
    fresh.search("issue")

    def exchange() -> None:
        fresh.update({**servers, "git": part("git", *git)})
        fresh.search("kuberentes")

    assert quickest(exchange) < 0.010 * slowness()


def test_the_work_grows_with_the_number_of_tools_and_no_faster() -> None:
    def build(count: int) -> Callable[[], None]:
        many = part("a", *(definition(f"do_{n}", f"Does the thing number {n} to file {n % 7}.") for n in range(count)))

        def work() -> None:
            fresh = Index()
            fresh.update({"a": many})
            answer(fresh.search("do the thing to fiel 3"))

        return work

    few, many = quickest(build(250)), quickest(build(2_000))
    assert many < 3 * 8 * few  # quadratic would be 64 times as much


# -- what strangers write


def test_a_megabyte_of_description_is_read_at_its_beginning_only() -> None:
    long = "Begins with apples. " + "filler " * 150_000 + "pears"
    made = index(a=[definition("say", long)])
    start = time.process_time()
    assert names(made.search("apples")) == ["a__say"]
    assert time.process_time() - start < 1.0
    assert made.search("pears").total == 0


def test_thousands_of_tools_full_of_words_nobody_knows_cost_little() -> None:
    words = (f"wab{number:x}" for number in range(2_000 * 600))
    tools = [definition(f"t{number}", " ".join(next(words) for _ in range(600))) for number in range(2_000)]
    made = Index()
    made.update({"a": part("a", *tools)})
    start = time.process_time()
    made.search("issue")
    assert time.process_time() - start < 3.0
    assert quickest(lambda: made.search("wabzz wabyy wabxx")) < 0.1  # each a letter from very many


@pytest.mark.parametrize(
    "query",
    [
        "file " * 10_000,
        " ".join(f"word{number}" for number in range(10_000)),
        "x" * 1_000_000,
        "é" * 1_000_000,
        "(" * 5_000,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 30,
    ],
)
def test_a_very_long_question_is_cut(a_thousand: Index, query: str) -> None:
    assert quickest(lambda: a_thousand.search(query), times=2) < 0.1 * slowness()


@pytest.mark.parametrize(
    "query",
    [
        "(.*)+$",
        "[",
        "\\",
        "*",
        "a|b",
        "%s",
        "'; DROP TABLE tools;--",
        "\x00",
        "\ud83d",
        "😀",
        "\u202e",
        "{}",
        "__",
        "-",
    ],
)
def test_odd_characters_are_only_characters(everything: Index, query: str) -> None:
    assert sizeof(answer(everything.search(query))) <= ANSWER_BYTES


@pytest.mark.parametrize(
    "schema",
    [
        b"{}",
        b'{"properties":[]}',
        b'{"properties":{"a":null,"b":7,"c":[],"d":{"enum":7,"items":7,"anyOf":7,"properties":7,"type":7}}}',
        b'{"properties":{"a":{"anyOf":[7,{"oneOf":[]}],"description":7}},"required":"a"}',
        b'{"required":[7,null,["a"]],"properties":{"a":{"type":[[],{}]}}}',
        b'{"properties":{"a":{"maximum":1e400}}}',
        b'{"properties":{"a":{"maximum":' + b"9" * 400 + b"}}}",
        rb'{"properties":{"half \ud83d":{"description":"\ud83d"}}}',
        b'{"properties":' + b'{"a":{"properties":' * 90 + b"{}" + b"}}" * 90 + b"}",
        b'{"properties":{"a":' + b'{"type":"array","items":' * 150 + b"{}" + b"}" * 150 + b"}}",
        b'{"properties":{"' + b"n" * 100_000 + b'":{"type":"string"}}}',
        b'{"properties":{"a":{"enum":[' + b'"v",' * 100_000 + b'"w"]}}}',
        b'{"description":"' + b"d" * 50_000 + b'","properties":{"p":{"type":"string"}}}',
        b'{"$ref":"#"}',
    ],
)
def test_no_schema_keeps_a_tool_from_being_found(schema: bytes) -> None:
    odd = part_of(ServerSpec("a"), [Raw(b'{"name":"say","description":"Speaks.","inputSchema":%b}' % schema)])
    made = Index()
    made.update({"a": odd, "b": part("b", definition("sing", "Sings."))})
    found = made.search("speaks")
    assert names(found) == ["a__say"]
    assert sizeof(answer(found)) <= ANSWER_BYTES


def test_a_schema_too_large_to_be_opened_hides_its_parameters_and_not_its_tool() -> None:
    properties = {"nozzle": {"description": "x" * 100_000}}
    schema = {"type": "object", "properties": properties}
    made = index(a=[{"name": "say", "description": "Speaks.", "inputSchema": schema}])
    assert made.search("nozzle").total == 0
    told = answer(made.search("speaks"))
    assert told["tools"] == [{"name": "a__say", "description": "Speaks."}]
    assert "describe_tool" in told["hint"]


@pytest.mark.parametrize(
    "description", ["\ud83d half a pair", ". " * 50_000, "\n " * 50_000, "!?" * 50_000, "\u0fda" * 9_000]
)
def test_no_description_keeps_a_tool_from_being_found(description: str) -> None:
    made = index(a=[definition("say_it", description)])
    start = time.process_time()
    found = made.search("say it")
    assert names(found) == ["a__say_it"]
    assert sizeof(answer(found)) <= ANSWER_BYTES
    assert time.process_time() - start < 1.0


@settings(deadline=None, max_examples=200)
@given(st.text(), st.text(), st.text())
def test_any_text_can_be_searched_for_in_any_text(query: str, description: str, parameter: str) -> None:
    schema = {"type": "object", "properties": {parameter: {"description": description, "enum": [query]}}}
    made = index(a=[{"name": "say", "description": description, "inputSchema": schema}])
    found = made.search(query)
    assert found.total in (0, 1)
    assert found.total == 1 or set(terms(query)).isdisjoint(terms(description))
    assert sizeof(answer(found)) <= ANSWER_BYTES
