"""Tools as people have them, for tests of search: twenty servers, written like the well-known ones of their kind.

A tool is a line `name: description` and lines, indented, of parameters: `name` or `name[]` or `name(a|b)`, `!` behind
it where it is required, `= ` and a description.
"""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec import Raw

from roundhouse.gateway.catalogue import Part, part_of
from roundhouse.model.servers import ServerSpec

_TEXTS = {
    "github": """
create_issue: Create a new issue in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; title! = Issue title; body = Issue body content
  assignees[] = Usernames to assign to this issue; labels[] = Labels to apply to this issue; milestone
get_issue: Get details of a specific issue in a GitHub repository.
  owner! = The owner of the repository; repo! = The name of the repository; issue_number! = The number of the issue
list_issues: List issues in a GitHub repository. For pagination, use the 'endCursor' from the previous response.
  owner! = Repository owner; repo! = Repository name; state(OPEN|CLOSED) = Filter by state; labels[] = Filter by labels
  since = Filter by date (ISO 8601 timestamp); perPage = Results per page for pagination (min 1, max 100)
search_issues: Search for issues in GitHub repositories using issues search syntax already scoped to is:issue
  query! = Search query using GitHub issues search syntax; sort(comments|reactions|created|updated) = Sort field
update_issue: Update an existing issue in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; issue_number! = Issue number to update; title = New title
  state(open|closed) = New state; labels[] = New labels; assignees[] = New assignees
add_issue_comment: Add a comment to a specific issue in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; issue_number! = Issue number to comment on; body!
get_issue_comments: Get comments for a specific issue in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; issue_number! = Issue number
create_pull_request: Create a new pull request in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; title! = PR title; head! = Branch containing changes
  base! = Branch to merge into; body = PR description; draft = Create as draft PR; maintainer_can_modify
get_pull_request: Get details of a specific pull request in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; pullNumber! = Pull request number
list_pull_requests: List pull requests in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; state(open|closed|all) = Filter by state; head; base; direction
merge_pull_request: Merge a pull request in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; pullNumber! = Pull request number; commit_title; commit_message
  merge_method(merge|squash|rebase) = Merge method
get_pull_request_diff: Get the diff of a pull request.
  owner! = Repository owner; repo! = Repository name; pullNumber! = Pull request number
get_pull_request_files: Get the files changed in a specific pull request.
  owner! = Repository owner; repo! = Repository name; pullNumber! = Pull request number
get_pull_request_status: Get the status of all checks of a specific pull request.
  owner! = Repository owner; repo! = Repository name; pullNumber! = Pull request number
create_and_submit_pull_request_review: Create and submit a review for a pull request without review comments.
  owner! = Repository owner; repo! = Repository name; pullNumber! = Pull request number; body! = Review comment text
  event(APPROVE|REQUEST_CHANGES|COMMENT)! = Review action to perform
request_copilot_review: Request a GitHub Copilot code review for a pull request.
  owner! = Repository owner; repo! = Repository name; pullNumber! = Pull request number
create_branch: Create a new branch in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; branch! = Name for new branch; from_branch = Source branch
list_branches: List branches in a GitHub repository.
  owner! = Repository owner; repo! = Repository name
list_commits: Get list of commits of a branch in a GitHub repository. Returns at least 30 results per page by default.
  owner! = Repository owner; repo! = Repository name; sha = Commit SHA, branch or tag name; author = Author username
get_commit: Get details for a commit from a GitHub repository.
  owner! = Repository owner; repo! = Repository name; sha! = Commit SHA, branch name, or tag name
get_file_contents: Get the contents of a file or directory from a GitHub repository.
  owner! = Repository owner (username or organization); repo! = Repository name; path! = Path to file/directory; ref
create_or_update_file: Create or update a single file in a GitHub repository.
  owner! = Repository owner; repo! = Repository name; path! = Path where to create the file; content! = Content
  message! = Commit message; branch! = Branch to create the file in; sha = SHA of the file being replaced
delete_file: Delete a file from a GitHub repository.
  owner! = Repository owner; repo! = Repository name; path! = Path to the file to delete; message! = Commit message
push_files: Push multiple files to a GitHub repository in a single commit.
  owner! = Repository owner; repo! = Repository name; branch! = Branch to push to; files[]! = Array of file objects
search_code: Fast and precise code search across ALL GitHub repositories using GitHub's native search engine.
  query! = Search query using GitHub's code search syntax; sort; order(asc|desc) = Sort order
search_repositories: Find GitHub repositories by name, description, readme, topics, or other metadata.
  query! = Repository search query; minimal_output = Return minimal repository information
search_users: Find GitHub users by username, real name, or other profile information.
  query! = User search query; sort(followers|repositories|joined) = Sort users by number of followers
create_repository: Create a new GitHub repository in your account or specified organization.
  name! = Repository name; description = Repository description; private = Whether repo should be private; autoInit
fork_repository: Fork a GitHub repository to your account or specified organization.
  owner! = Repository owner; repo! = Repository name; organization = Organization to fork to
list_releases: List releases in a GitHub repository.
  owner! = Repository owner; repo! = Repository name
get_latest_release: Get the latest release in a GitHub repository.
  owner! = Repository owner; repo! = Repository name
list_workflow_runs: List workflow runs for a specific GitHub Actions workflow.
  owner! = Repository owner; repo! = Repository name; workflow_id! = The workflow ID or file name; status; branch
run_workflow: Run an Actions workflow by workflow ID or filename.
  owner! = Repository owner; repo! = Repository name; workflow_id! = The workflow ID; ref! = The git reference; inputs
rerun_failed_jobs: Re-run only the failed jobs in a workflow run.
  owner! = Repository owner; repo! = Repository name; run_id! = The unique identifier of the workflow run
get_job_logs: Download logs for a specific workflow job or efficiently get all failed job logs for a workflow run.
  owner! = Repository owner; repo! = Repository name; job_id = The unique identifier of the workflow job; failed_only
list_notifications: Lists all GitHub notifications for the authenticated user, including unread and participating.
  filter(default|include_read_notifications|only_participating) = Filter notifications; since; before
list_code_scanning_alerts: List code scanning alerts in a GitHub repository.
  owner! = The owner of the repository; repo! = The name of the repository; severity; tool_name
list_dependabot_alerts: List dependabot alerts in a GitHub repository.
  owner! = The owner of the repository; repo! = The name of the repository; severity(low|medium|high|critical)
get_me: Get details of the authenticated GitHub user. Use this when a request is about the user's own profile.
star_repository: Star a GitHub repository.
  owner! = Repository owner; repo! = Repository name
create_gist: Create a new gist.
  filename! = Filename for simple single-file gist creation; content! = Content; public = Whether the gist is public
""",
    "git": """
git_status: Shows the working tree status
  repo_path!
git_diff_unstaged: Shows changes in the working directory that are not yet staged
  repo_path!; context_lines
git_diff_staged: Shows changes that are staged for commit
  repo_path!; context_lines
git_diff: Shows differences between branches or commits
  repo_path!; target!; context_lines
git_commit: Records changes to the repository
  repo_path!; message!
git_add: Adds file contents to the staging area
  repo_path!; files[]!
git_reset: Unstages all staged changes
  repo_path!
git_log: Shows the commit logs
  repo_path!; max_count; start_timestamp; end_timestamp
git_create_branch: Creates a new branch from an optional base branch
  repo_path!; branch_name!; base_branch
git_checkout: Switches branches
  repo_path!; branch_name!
git_show: Shows the contents of a commit
  repo_path!; revision!
git_branch: List Git branches
  repo_path! = The path to the Git repository.; branch_type! = Whether to list local, remote or all branches.
git_clone: Clones a remote repository into a local folder
  url! = Address of the remote repository; target_path!; depth
git_push: Uploads local commits to the remote
  repo_path!; remote; branch; force
git_stash: Puts uncommitted changes away for later
  repo_path!; message
""",
    "filesystem": """
read_text_file: Read the complete contents of a file from the file system as text. Handles various text encodings and \
provides detailed error messages if the file cannot be read. Only works within allowed directories.
  path!; tail = If provided, returns only the last N lines; head = If provided, returns only the first N lines
read_media_file: Read an image or audio file. Returns the base64 encoded data and MIME type.
  path!
read_multiple_files: Read the contents of multiple files simultaneously. This is more efficient than reading files one \
by one when you need to analyze or compare multiple files.
  paths[]!
write_file: Create a new file or completely overwrite an existing file with new content. Use with caution as it will \
overwrite existing files without warning.
  path!; content!
edit_file: Make line-based edits to a text file. Each edit replaces exact line sequences with new content. Returns a \
git-style diff showing the changes made.
  path!; edits[]! = Text to search for and text to replace it with; dryRun = Preview changes using git-style diff format
create_directory: Create a new directory or ensure a directory exists. Can create multiple nested directories in one go.
  path!
list_directory: Get a detailed listing of all files and directories in a specified path.
  path!
list_directory_with_sizes: Get a detailed listing of all files and directories in a specified path, including sizes.
  path!; sortBy(name|size) = Sort entries by name or size
directory_tree: Get a recursive tree view of files and directories as a JSON structure.
  path!; excludePatterns[]
move_file: Move or rename files and directories. Can move files between directories and rename them in one operation.
  source!; destination!
search_files: Recursively search for files and directories matching a pattern. Searches file names, not contents.
  path!; pattern!; excludePatterns[]
get_file_info: Retrieve detailed metadata about a file or directory. Returns size, creation time, last modified time, \
permissions, and type.
  path!
list_allowed_directories: Returns the list of directories that this server is allowed to access.
remove_file: Permanently removes a file from disk.
  path!
""",
    "slack": """
slack_list_channels: List public or pre-defined channels in the workspace with pagination
  limit = Maximum number of channels to return (default 100, max 200); cursor = Pagination cursor for next page
slack_post_message: Post a new message to a Slack channel
  channel_id! = The ID of the channel to post to; text! = The message text to post
slack_reply_to_thread: Reply to a specific message thread in Slack
  channel_id! = The ID of the channel containing the thread; thread_ts! = The timestamp of the parent message; text!
slack_add_reaction: Add a reaction emoji to a message
  channel_id! = The ID of the channel; timestamp! = The timestamp of the message; reaction! = Name of the emoji
slack_get_channel_history: Get recent messages from a channel
  channel_id! = The ID of the channel; limit = Number of messages to retrieve (default 10)
slack_get_thread_replies: Get all replies in a message thread
  channel_id! = The ID of the channel; thread_ts! = The timestamp of the parent message
slack_get_users: Get a list of all users in the workspace with their basic profile information
  cursor = Pagination cursor for next page of results; limit = Maximum number of users to return
slack_get_user_profile: Get detailed profile information for a specific user
  user_id! = The ID of the user
slack_search_messages: Search messages across channels the bot can see
  query! = Words to look for; from_user; in_channel; count
slack_upload_file: Upload a file to a channel
  channel_id!; filename!; content!; title
slack_set_status: Set your own status text and emoji
  status_text!; status_emoji; expiration = Unix time at which the status ends
slack_create_channel: Create a public or private channel
  name!; is_private
slack_invite_to_channel: Invite users to a channel
  channel_id!; user_ids[]!
slack_send_direct_message: Send a direct message to one person
  user_id!; text!
""",
    "sqlite": """
read_query: Execute a SELECT query on the SQLite database
  query! = SELECT SQL query to execute
write_query: Execute an INSERT, UPDATE, or DELETE query on the SQLite database
  query! = SQL query to execute
create_table: Create a new table in the SQLite database
  query! = CREATE TABLE SQL statement
list_tables: List all tables in the SQLite database
describe_table: Get the schema information for a specific table
  table_name! = Name of the table to describe
append_insight: Add a business insight to the memo
  insight! = Business insight discovered from data analysis
""",
    "postgres": """
query: Run a read-only SQL query
  sql!
explain_query: Explains the execution plan for a SQL query, showing how the database will execute it and costs.
  sql! = SQL query to explain; analyze = When True, actually runs the query; hypothetical_indexes[]
analyze_db_health: Analyzes database health. Checks index health, connections, vacuum, sequences, replication, buffers.
  health_type = Optional, comma-separated list of health checks
get_top_queries: Reports the slowest or most resource-intensive queries using data from pg_stat_statements.
  sort_by(resources|mean_time|total_time); limit
list_schemas: List all schemas in the database
analyze_query_indexes: Analyze a list of SQL queries and recommend optimal indexes
  queries[]! = List of queries to analyze; max_index_size_mb
""",
    "browser": """
browser_navigate: Navigate to a URL
  url! = The URL to navigate to
browser_navigate_back: Go back to the previous page
browser_click: Perform click on a web page
  element! = Human-readable element description; ref! = Exact target element reference; doubleClick; button(left|right)
browser_type: Type text into editable element
  element! = Human-readable element description; ref!; text! = Text to type; submit = Whether to press Enter after
browser_fill_form: Fill multiple form fields
  fields[]! = Fields to fill in
browser_press_key: Press a key on the keyboard
  key! = Name of the key to press or a character to generate, such as ArrowLeft or a
browser_hover: Hover over element on page
  element! = Human-readable element description; ref!
browser_drag: Perform drag and drop between two elements
  startElement!; startRef!; endElement!; endRef!
browser_select_option: Select an option in a dropdown
  element!; ref!; values[]! = Array of values to select in the dropdown
browser_snapshot: Capture accessibility snapshot of the current page, this is better than screenshot
browser_take_screenshot: Take a screenshot of the current page. You can't perform actions based on the screenshot.
  type(png|jpeg) = Image format for the screenshot; filename; fullPage = When true, takes a screenshot of the full page
browser_evaluate: Evaluate JavaScript expression on page or element
  function! = () => { /* code */ }; element; ref
browser_console_messages: Returns all console messages
  level(error|warning|info|debug)
browser_network_requests: Returns all network requests since loading the page
  includeStatic
browser_file_upload: Upload one or multiple files
  paths[] = The absolute paths to the files to upload
browser_handle_dialog: Handle a dialog
  accept! = Whether to accept the dialog.; promptText = The text of the prompt in case of a prompt dialog.
browser_tabs: List, create, close, or select a browser tab.
  action(list|new|close|select)!; index = Tab index, used for close/select.
browser_wait_for: Wait for text to appear or disappear or a specified time to pass
  time = The time to wait in seconds; text = The text to wait for; textGone
browser_resize: Resize the browser window
  width!; height!
browser_close: Close the page
browser_pdf_save: Save page as PDF
  filename = File name to save the pdf to
""",
    "calendar": """
list_calendars: List all available calendars
list_events: List events from one or more calendars.
  calendarId! = ID of the calendar; timeMin = Start time boundary; timeMax = End time boundary; timeZone
search_events: Search for events in a calendar by text query.
  calendarId!; query! = Free text search query (searches summary, description, location, attendees, etc.)
get_event: Get details of a specific event by ID.
  calendarId!; eventId!
create_event: Create a new calendar event.
  calendarId!; summary! = Title of the event; start! = Event start time; end! = Event end time; location; attendees[]
  reminders = Reminder settings for the event; recurrence[] = Recurrence rules in RFC5545 format
update_event: Update an existing calendar event with recurring event modification scope support.
  calendarId!; eventId!; summary; start; end; attendees[]; modificationScope(thisAndFollowing|all|thisEventOnly)
delete_event: Delete a calendar event.
  calendarId!; eventId!; sendUpdates(all|externalOnly|none) = Whether to send cancellation notifications
get_freebusy: Query free/busy information for calendars.
  calendars[]! = List of calendars to query; timeMin!; timeMax!
list_colors: List available color IDs and their meanings for calendar events
respond_to_event: Respond to an invitation with yes, no or maybe.
  calendarId!; eventId!; response(accepted|declined|tentative)!
""",
    "kubernetes": """
pods_list: List all the Kubernetes pods in the current cluster from all namespaces
  labelSelector = Optional Kubernetes label selector
pods_get: Get a Kubernetes Pod in the current or provided namespace with the provided name
  name! = Name of the Pod; namespace = Namespace to get the Pod from
pods_delete: Delete a Kubernetes Pod in the current or provided namespace with the provided name
  name! = Name of the Pod to delete; namespace
pods_log: Get the logs of a Kubernetes Pod in the current or provided namespace with the provided name
  name! = Name of the Pod to get the logs from; namespace; container; tail; previous
pods_exec: Execute a command in a Kubernetes Pod in the current or provided namespace
  name!; namespace; container; command[]! = Command to execute in the Pod container
pods_run: Run a Kubernetes Pod in the current or provided namespace with the provided container image
  image! = Container Image to run in the Pod; name; namespace; port
pods_top: List the resource consumption (CPU and memory) as recorded by the Kubernetes Metrics Server for Pods
  all_namespaces; name; namespace; label_selector
nodes_log: Get logs from a Kubernetes node (kubelet, kube-proxy, or other system logs)
  name!; query!; tailLines
nodes_top: List the resource consumption (CPU and memory) of Kubernetes Nodes
  name; label_selector
namespaces_list: List all the Kubernetes namespaces in the current cluster
events_list: List all the Kubernetes events in the current cluster from all namespaces
  namespace
resources_list: List Kubernetes resources and objects in the current cluster by apiVersion and kind
  apiVersion!; kind!; namespace; labelSelector
resources_get: Get a Kubernetes resource in the current cluster by apiVersion, kind and name
  apiVersion!; kind!; namespace; name!
resources_create_or_update: Create or update a Kubernetes resource by providing a YAML or JSON representation
  resource! = A JSON or YAML containing a representation of the Kubernetes resource
resources_delete: Delete a Kubernetes resource in the current cluster by apiVersion, kind and name
  apiVersion!; kind!; namespace; name!
deployments_scale: Set the number of replicas of a deployment
  name!; namespace; replicas! = Desired number of replicas
deployments_restart: Restart a deployment by rolling its pods one after the other
  name!; namespace
helm_install: Install a Helm chart in the current or provided namespace
  chart! = Chart reference to install; values = Values to pass to the Helm chart; name; namespace
helm_list: List all the Helm releases in the current or provided namespace
  namespace; all_namespaces
helm_uninstall: Uninstall a Helm release in the current or provided namespace
  name!; namespace
port_forward: Forward a local port to a port of a pod or service
  name!; local_port!; remote_port!; namespace
configuration_view: Get the current Kubernetes configuration content as a kubeconfig YAML
  minified
contexts_switch: Switch to another kubeconfig context
  context!
""",
    "jira": """
jira_get_issue: Get details of a specific Jira issue including its Epic links and relationship information.
  issue_key! = Jira issue key (e.g., 'PROJ-123'); fields = Comma-separated list of fields to return; expand
jira_search: Search Jira issues using JQL (Jira Query Language).
  jql! = JQL query string; fields; limit = Maximum number of results (1-50); projects_filter
jira_create_issue: Create a new Jira issue with optional Epic link or parent for subtasks.
  project_key! = The JIRA project key; summary! = Summary/title of the issue; issue_type! = Task, Bug, Story, Epic
  assignee = Assignee's user identifier; description = Issue description in Markdown; components
jira_update_issue: Update an existing Jira issue including changing status, adding Epic links, updating fields, etc.
  issue_key!; fields! = Dictionary of fields to update; attachments
jira_delete_issue: Delete an existing Jira issue.
  issue_key!
jira_add_comment: Add a comment to a Jira issue.
  issue_key!; comment! = Comment text in Markdown format; visibility
jira_get_transitions: Get available status transitions for a Jira issue.
  issue_key!
jira_transition_issue: Transition a Jira issue to a new status.
  issue_key!; transition_id! = ID of the transition to perform; comment
jira_add_worklog: Add a worklog entry to a Jira issue.
  issue_key!; time_spent! = Time spent in Jira format, such as '1h 30m'; started; comment
jira_get_worklog: Get worklog entries for a Jira issue.
  issue_key!
jira_get_agile_boards: Get jira agile boards by name, project key, or type.
  board_name; project_key; board_type(scrum|kanban)
jira_get_sprints_from_board: Get jira sprints from board by state.
  board_id!; state(active|future|closed)
jira_create_sprint: Create Jira sprint for a board.
  board_id!; sprint_name!; start_date!; end_date!; goal
jira_get_sprint_issues: Get jira issues from sprint.
  sprint_id!
jira_link_issues: Create a link between two Jira issues.
  link_type! = The type of link to create (e.g., 'Duplicate', 'Blocks'); inward_issue_key!; outward_issue_key!
jira_assign_issue: Assign a Jira issue to a user.
  issue_key!; assignee!
""",
    "mail": """
send_email: Sends a new email
  to[]! = List of recipient email addresses; subject!; body! = Email body content; cc[]; bcc[]; attachments[]
draft_email: Draft a new email
  to[]!; subject!; body!; cc[]; bcc[]
read_email: Retrieves the content of a specific email
  messageId! = ID of the email message to retrieve
search_emails: Searches for emails using Gmail search syntax
  query! = Gmail search query (e.g., 'from:example@gmail.com'); maxResults
modify_email: Modifies email labels (move to different folders)
  messageId!; addLabelIds[]; removeLabelIds[]
delete_email: Permanently deletes an email
  messageId!
list_email_labels: Retrieves all available Gmail labels
create_label: Creates a new Gmail label
  name!; messageListVisibility; labelListVisibility
download_attachment: Downloads an email attachment to a specified location
  messageId!; attachmentId!; filename; savePath
mark_as_read: Marks messages as read or unread
  messageIds[]!; read!
reply_to_email: Replies to the sender of an email, or to everybody
  messageId!; body!; replyAll
forward_email: Forwards an email to other recipients
  messageId!; to[]!; note
create_filter: Creates a new Gmail filter with custom criteria and actions
  criteria! = Criteria for matching emails; action! = Actions to perform on matching emails
set_vacation_responder: Turns the automatic out-of-office answer on or off
  enabled!; subject; body; startDate; endDate
""",
    "notion": """
API-post-search: Search by title
  query = The text that the API compares page and database titles against; sort; filter; page_size
API-retrieve-a-page: Retrieve a page
  page_id! = Identifier for a Notion page; filter_properties
API-post-page: Create a page
  parent!; properties!; children[] = The content to be rendered on the new page; icon; cover
API-patch-page: Update page properties
  page_id!; properties; in_trash = Set to true to delete a block; icon
API-get-block-children: Retrieve block children
  block_id! = Identifier for a block; start_cursor; page_size
API-patch-block-children: Append block children
  block_id!; children[]!; after
API-delete-a-block: Delete a block
  block_id!
API-post-database-query: Query a database
  database_id!; filter; sorts[]; start_cursor
API-create-a-comment: Create comment
  parent! = The page that contains the comment; rich_text[]!
API-get-users: List all users
  start_cursor; page_size
""",
    "memory": """
create_entities: Create multiple new entities in the knowledge graph
  entities[]! = The name, type and observations of each entity
create_relations: Create multiple new relations between entities in the knowledge graph. Relations are in active voice
  relations[]!
add_observations: Add new observations to existing entities in the knowledge graph
  observations[]!
delete_entities: Delete multiple entities and their associated relations from the knowledge graph
  entityNames[]! = An array of entity names to delete
delete_observations: Delete specific observations from entities in the knowledge graph
  deletions[]!
delete_relations: Delete multiple relations from the knowledge graph
  relations[]!
read_graph: Read the entire knowledge graph
search_nodes: Search for nodes in the knowledge graph based on a query
  query! = The search query to match against entity names, types, and observation content
open_nodes: Open specific nodes in the knowledge graph by their names
  names[]!
""",
    "docker": """
list_containers: List all Docker containers
  all = Show all containers (default shows just running); filters
create_container: Create a new Docker container
  image! = Docker image name; name; ports; environment; volumes; command
run_container: Run an image in a new Docker container (preferred over create_container + start_container)
  image!; detach; name; ports; environment; volumes
start_container: Start a Docker container
  container_id! = Container ID or name
stop_container: Stop a Docker container
  container_id! = Container ID or name
remove_container: Remove a Docker container
  container_id!; force = Force remove the container
fetch_container_logs: Fetch logs for a Docker container
  container_id!; tail = Number of lines to show from the end
list_images: List Docker images
  name; all
pull_image: Pull a Docker image
  repository!; tag
build_image: Build a Docker image from a Dockerfile
  path! = Path to build context; tag! = Image tag; dockerfile
remove_image: Remove a Docker image
  image!; force
list_volumes: List Docker volumes
create_network: Create a Docker network
  name!; driver; internal
compose_up: Bring up the services of a compose file
  file!; services[]; detach
""",
    "time": """
get_current_time: Get current time in a specific timezones
  timezone! = IANA timezone name (e.g., 'America/New_York', 'Europe/London').
convert_time: Convert time between timezones
  source_timezone! = Source IANA timezone name; time! = Time to convert in 24-hour format (HH:MM); target_timezone!
""",
    "web": """
fetch: Fetches a URL from the internet and optionally extracts its contents as markdown.
  url! = URL to fetch; max_length = Maximum number of characters to return; start_index; raw
brave_web_search: Performs a web search using the Brave Search API, ideal for general queries, news, articles, and \
online content.
  query! = Search query (max 400 chars, 50 words); count = Number of results (1-20, default 10); offset
brave_local_search: Searches for local businesses and places using Brave's Local Search API.
  query! = Local search query (e.g. 'pizza near Central Park'); count
brave_news_search: Searches for recent news articles.
  query!; freshness(pd|pw|pm|py)
""",
    "weather": """
get-forecast: Get weather forecast for a location
  latitude! = Latitude of the location; longitude! = Longitude of the location; days
get-alerts: Get weather alerts for a state
  state! = Two-letter state code (e.g. CA, NY)
get-current-conditions: Temperature, wind and humidity right now
  latitude!; longitude!; units(metric|imperial)
""",
    "maps": """
maps_geocode: Convert an address into geographic coordinates
  address! = The address to geocode
maps_reverse_geocode: Convert coordinates into an address
  latitude!; longitude!
maps_search_places: Search for places using Google Places API
  query!; location; radius = Search radius in meters (max 50000)
maps_place_details: Get detailed information about a specific place
  place_id!
maps_distance_matrix: Calculate travel distance and time for multiple origins and destinations
  origins[]!; destinations[]!; mode(driving|walking|bicycling|transit)
maps_directions: Get directions between two points
  origin!; destination!; mode(driving|walking|bicycling|transit)
maps_elevation: Get elevation data for locations on the earth
  locations[]!
""",
    "spotify": """
searchSpotify: Search for tracks, albums, artists, or playlists on Spotify
  query! = The search query; type(track|album|artist|playlist)!; limit
getNowPlaying: Get information about the currently playing track on Spotify
playMusic: Start playing a Spotify track, album, artist, or playlist
  uri; type; id; deviceId
pausePlayback: Pause Spotify playback on the active device
skipToNext: Skip to the next track in the current Spotify playback queue
skipToPrevious: Skip to the previous track in the current Spotify playback queue
createPlaylist: Create a new playlist on Spotify
  name!; description; public
addTracksToPlaylist: Add tracks to a Spotify playlist
  playlistId!; trackIds[]!; position
setVolume: Set the playback volume of the active device
  volumePercent!
getRecentlyPlayed: Get a list of recently played tracks on Spotify
  limit
""",
    "sentry": """
find_organizations: Find organizations that the user has access to in Sentry.
find_projects: Find projects in Sentry.
  organizationSlug!; query
search_issues: Search for grouped issues/problems in Sentry - returns a LIST of issues, NOT counts or aggregations.
  organizationSlug!; naturalLanguageQuery!; projectSlugOrId; limit
get_issue_details: Get detailed information about a specific Sentry issue by ID.
  organizationSlug; issueId; eventId; issueUrl
update_issue: Update an issue's status or assignment in Sentry. This allows you to resolve, ignore, or reassign issues.
  organizationSlug; issueId; status(resolved|resolvedInNextRelease|unresolved|ignored); assignedTo
analyze_issue_with_seer: Use Seer to analyze production errors and get detailed root cause analysis with code fixes.
  organizationSlug; issueId; instruction
""",
    "drive": """
drive_search_files: Search for files in Google Drive
  query!; pageSize
drive_read_file: Read contents of a file from Google Drive
  fileId! = ID of the file to read
drive_upload_file: Upload a file to Google Drive
  name!; content!; mimeType; parentFolderId
drive_share_file: Share a file with someone or change their permissions
  fileId!; emailAddress!; role(reader|commenter|writer)!
drive_create_folder: Create a folder in Google Drive
  name!; parentFolderId
sheets_read_values: Read cell values from a spreadsheet
  spreadsheetId!; range! = The A1 notation of the range
sheets_update_cell: Update a cell value in a Google Spreadsheet
  fileId!; range!; value!
sheets_append_rows: Append rows at the end of a spreadsheet
  spreadsheetId!; range!; values[]!
docs_create_document: Create a new Google Doc
  title!; content
slides_create_presentation: Create a new presentation
  title!
""",
    "stripe": """
create_customer: This tool will create a customer in Stripe.
  name! = The name of the customer; email = The email of the customer
list_customers: This tool will fetch a list of Customers from Stripe.
  limit; email
create_product: This tool will create a product in Stripe.
  name!; description
create_price: This tool will create a price in Stripe. If a product has not already been specified, create one first.
  product!; unit_amount!; currency!
create_invoice: This tool will create an invoice in Stripe.
  customer!; days_until_due
finalize_invoice: This tool will finalize an invoice in Stripe.
  invoice!
retrieve_balance: This tool will retrieve the balance from Stripe. It takes no input.
create_refund: This tool will refund a payment intent in Stripe.
  payment_intent!; amount; reason(duplicate|fraudulent|requested_by_customer)
list_payment_intents: This tool will list payment intents in Stripe.
  customer; limit
cancel_subscription: This tool will cancel a subscription in Stripe.
  subscription!
create_payment_link: This tool will create a payment link in Stripe.
  price!; quantity!
""",
}


def definition(name: str, description: str, parameters: str = "") -> dict[str, Any]:
    """One tool as a server lists it."""
    properties: dict[str, Any] = {}
    required = []
    for parameter in filter(None, (one.strip() for one in parameters.replace("\n", ";").split(";"))):
        head, _, said = parameter.partition(" = ")
        shape = re.fullmatch(r"(\w+)(\[\])?(?:\(([^)]*)\))?(!)?", head)
        assert shape, parameter
        of: dict[str, Any] = {"type": "string", **({"enum": shape[3].split("|")} if shape[3] else {})}
        of = {"type": "array", "items": of} if shape[2] else of
        properties[shape[1]] = {**of, **({"description": said} if said else {})}
        required += [shape[1]] if shape[4] else []
    return {
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": properties, "required": required},
    }


def definitions() -> dict[str, list[dict[str, Any]]]:
    """All tools of all servers."""
    found: dict[str, list[dict[str, Any]]] = {}
    for server, written in _TEXTS.items():
        tools = re.findall(r"^(\S+): (.*)\n((?:  .*\n)*)", written, re.MULTILINE)
        found[server] = [definition(*tool) for tool in tools]
    return found


def part(server: str, *tools: dict[str, Any]) -> Part:
    """A server's part of the catalogue."""
    return part_of(ServerSpec(server), [Raw(json.dumps(tool).encode()) for tool in tools])


def parts() -> dict[str, Part]:
    """The catalogue's parts of all servers."""
    return {server: part(server, *tools) for server, tools in definitions().items()}
