package protocol

import (
	"net/http"
	"strings"
)

// The titles of REST's error bodies.
const (
	titleAPI         = "Invalid API request"
	titleBody        = "Invalid request body"
	titleParameter   = "Invalid parameter"
	titleName        = "Invalid queue identification"
	titleTopic       = "Invalid topic identification"
	titleForbidden   = "Not authorized"
	titleNotFound    = "Not found"
	titleConflict    = "Resource conflict"
	titleDelete      = "Unable to delete"
	titleCreate      = "Unable to create"
	titleUpdate      = "Unable to update"
	titleUnavailable = "Service temporarily unavailable"
	titleInternal    = "Internal server error"
)

// badRequest begins the texts of the socket for what REST calls a bad body.
const badRequest = "Bad request. "

// restTitles are the titles of errors that have none of their own.
var restTitles = map[int]string{
	http.StatusBadRequest:          titleAPI,
	http.StatusForbidden:           titleForbidden,
	http.StatusNotFound:            titleNotFound,
	http.StatusConflict:            titleConflict,
	http.StatusServiceUnavailable:  titleUnavailable,
	http.StatusInternalServerError: titleInternal,
}

// REST returns the title and the description with which REST tells the error.
func (e *Error) REST() (title, description string) {
	text := e.Exception
	if text == "" {
		text = e.Text
	}
	if e.title != "" {
		if e.description != "" {
			text = e.description
		}
		return e.title, text
	}
	if rest, ok := strings.CutPrefix(text, badRequest); ok {
		return titleBody, rest
	}
	title, known := restTitles[e.Status]
	if !known {
		title = http.StatusText(e.Status)
	}
	if e.Status == http.StatusServiceUnavailable {
		text += " Please try again in a few seconds."
	}
	return title, text
}

// told sets what REST says when that is not what the socket says; description "" is the socket's. It is for errors that
// are being made.
func (e *Error) told(title, description string) *Error {
	e.title, e.description = title, description
	return e
}

// restError is a fault that only REST can have.
func restError(status int, code, title, description string) *Error {
	return actionError(status, code, "", description).told(title, "")
}

// bodyError is a fault of a body.
func bodyError(code, description string) *Error {
	return restError(http.StatusBadRequest, code, titleBody, description)
}

// What is wrong with a request before its resource is looked at.
var (
	errNoClientID     = restError(http.StatusBadRequest, "no_client_id", "Missing header value", `The "Client-ID" header is required.`)
	errClientIDFormat = restError(http.StatusBadRequest, "client_id", "Wrong UUID value", "Malformed hexadecimal UUID.")
	errNoProjectID    = restError(http.StatusBadRequest, "no_project_id", "Project-Id Missing", "The header X-PROJECT-ID was missing")
	errEmptyProjectID = restError(http.StatusBadRequest, "empty_project_id", "Empty project header not allowed",
		"X-PROJECT-ID cannot be an empty string. Specify the right header X-PROJECT-ID and retry.")
)

// What is wrong with a body.
var (
	errBodyJSON     = bodyError("undecodable", "Request body could not be parsed.")
	errBodyInteger  = bodyError("integer", "JSON contains integer that is too large.")
	errBodyType     = bodyError("document_type", "Document type not supported.")
	errAdminJSON    = bodyError("undecodable", "JSON could not be parsed.")
	errPatchEmpty   = bodyError("patch", "PATCH body could not be empty for update.")
	errOptionsType  = restError(http.StatusBadRequest, "options", titleAPI, "Options must be a dict.")
	errTTLType      = restError(http.StatusBadRequest, "ttl", titleAPI, "TTL must be an integer.")
	errNoSubscriber = restError(http.StatusBadRequest, "no_subscriber", titleAPI, "Missing parameter subscriber in body.")
	errNotConfirmed = restError(http.StatusBadRequest, "confirmed", titleAPI, "The 'confirmed' should be boolean.")
	errNoMessageKey = restError(http.StatusBadRequest, "no_messages", titleAPI, "No messages were found in the request body.")
	errNoPurgeTypes = restError(http.StatusBadRequest, "resource_types", titleAPI, `Post body must contain key "resource_types".`)
	errPurgeTypes   = restError(http.StatusBadRequest, "resource_types", titleAPI,
		"Resource types must be a sub set of {'subscriptions', 'messages'}.")
)

// errParameter answers a query parameter that cannot be read.
func errParameter(name, want string) *Error {
	return restError(http.StatusBadRequest, "parameter", titleParameter, `The "`+name+`" parameter is invalid. `+want)
}

// pythonText writes a text as the texts of Zaqar quote it.
func pythonText(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + "'"
}
