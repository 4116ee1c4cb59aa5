package spec

// EventStream is the AnswerType of routes that answer with Server-Sent Events.
const EventStream = "text/event-stream"

// streamParameters are what an event stream reads, and nothing else: browsers can set no header for one, so that who
// asks may be in the query.
var streamParameters = []schema{
	query("marker", "The id behind which the stream starts; without one it starts now."),
	header("Last-Event-ID", text("The id of the last event that came; it goes before marker."), false),
	header("Client-ID", text("The client, unless client_id says it.").with("format", "uuid"), false),
	query("client_id", "The client, where Client-ID cannot be set."),
	header("X-Project-ID", text("The project, unless project_id says it."), false),
	query("project_id", "The project, where X-Project-ID cannot be set."),
}

func query(name, about string) schema {
	return schema{"name": name, "in": "query", "schema": text(about)}
}
