package protocol

import (
	"net/url"
	"strings"
)

// hidden stands for what is not shown.
const hidden = "…"

// ShownURI is a pool's URI without its password, for answers and logs. A URI that cannot be told apart from its password
// for certain is shown as little more than its scheme.
func ShownURI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return shownSettings(uri)
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	// An @ behind the authority may be the end of a password that holds one of /, ? and #.
	if strings.ContainsRune(scheme, '@') || strings.ContainsAny(tail, "@#") {
		return shownScheme(scheme) + hidden
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, _, _ := strings.Cut(authority[:i], ":")
		authority = user + authority[i:]
	}
	path, query, _ := strings.Cut(tail, "?")
	if query = shownQuery(query); query != "" {
		query = "?" + query
	}
	return scheme + "://" + authority + path + query
}

// shownScheme is a scheme that looks like one.
func shownScheme(scheme string) string {
	if !ValidQueueName(scheme) {
		return ""
	}
	return scheme + "://"
}

// shownQuery drops the parameters that are secret or cannot be read.
func shownQuery(query string) string {
	var shown []string
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(key)
		if err == nil && pair != "" && !isSecret(name) {
			shown = append(shown, pair)
		}
	}
	return strings.Join(shown, "&")
}

// shownSettings shows a connection string of the form "host=… dbname=…", or a bare word.
func shownSettings(text string) string {
	if !strings.ContainsAny(text, "= ") {
		if strings.ContainsAny(text, "@:") {
			return hidden
		}
		return text
	}
	if strings.ContainsAny(text, `'"\`) { // a quoted value may hold anything
		return hidden
	}
	var shown []string
	for _, setting := range strings.Fields(text) {
		name, value, ok := strings.Cut(setting, "=")
		if !ok || name == "" || value == "" { // spaces around a = put a value where a name is looked for
			return hidden
		}
		if !isSecret(name) {
			shown = append(shown, setting)
		}
	}
	return strings.Join(shown, " ")
}

// isSecret says whether a connection's setting holds a password: password, sslpassword, passfile and their like.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "pass") || strings.Contains(name, "secret") || strings.Contains(name, "token")
}
