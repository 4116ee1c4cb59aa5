// Package web holds what a browser gets from the gateway besides WebSockets: a welcome page, the examples and the
// guides, all embedded in the binary.
package web

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/nusku-messaging/nusku/protocol/spec"
)

//go:embed examples docs
var files embed.FS

// listing is the page of a folder, and the welcome page too: a heading, a sentence and links.
var listing = template.Must(template.New("listing").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/examples/style.css">
<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
<ul>
{{range .Links}}<li><a href="{{.Path}}">{{.Name}}</a>{{with .Text}}: {{.}}{{end}}</li>
{{end}}</ul>
</main>
</html>
`))

type link struct{ Path, Name, Text string }

type page struct {
	Title, Text string
	Links       []link
}

var welcome = page{
	Title: "Nusku",
	Text:  "This is a messaging gateway. Programs and pages talk to it over WebSockets, at any path of this address.",
	Links: []link{
		{"/examples/try.html", "Try it", "connect, subscribe, post, claim and delete from this browser"},
		{"/docs/", "Guides", "what it does and how to run it"},
		{"/docs/api", "The API", "every action, its fields and its answers"},
		{"/readyz", "Readiness", "whether it serves"},
	},
}

var examples = page{
	Title: "Examples",
	Text:  "Pages that use the gateway from a browser, without any library. Read their source.",
	Links: []link{{"/examples/try.html", "Try it", "every step of a message's life, and the frames that make it"}},
}

// Handler serves the embedded pages under /, /examples/ and /docs/. It keeps no state.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", show(welcome))
	mux.Handle("GET /examples/{$}", show(examples))
	mux.Handle("GET /examples/{name}", http.HandlerFunc(serveExample))
	mux.Handle("GET /docs/{$}", show(guides()))
	mux.Handle("GET /docs/api", http.HandlerFunc(serveAPI))
	mux.Handle("GET /docs/openapi.json", document(spec.OpenAPI()))
	mux.Handle("GET /docs/asyncapi.json", document(spec.AsyncAPI()))
	mux.Handle("GET /docs/{name...}", http.HandlerFunc(serveGuide))
	return guarded(mux)
}

// guarded adds the headers that keep a page to itself: it may load only from here, talk only to here, be framed by
// nobody, and is never taken for another type than the one it is served with.
func guarded(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		// Another build of the gateway may answer at the same address next time.
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// show serves a page that never changes.
func show(p page) http.Handler {
	var b bytes.Buffer
	err := listing.Execute(&b, p)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err != nil {
			http.Error(w, "page is broken", http.StatusInternalServerError)
			return
		}
		write(w, "text/html; charset=utf-8", b.Bytes())
	})
}

func serveExample(w http.ResponseWriter, r *http.Request) {
	types := map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
	}
	name := r.PathValue("name")
	serveFile(w, r, "examples/"+name, types[path.Ext(name)])
}

// serveGuide serves a guide as the text that its author wrote.
func serveGuide(w http.ResponseWriter, r *http.Request) {
	types := map[string]string{".md": "text/plain; charset=utf-8"}
	name := r.PathValue("name")
	serveFile(w, r, "docs/"+name, types[path.Ext(name)])
}

// serveAPI serves the description of the API for people.
func serveAPI(w http.ResponseWriter, _ *http.Request) {
	page, err := spec.Page()
	if err != nil {
		http.Error(w, "page is broken", http.StatusInternalServerError)
		return
	}
	write(w, "text/html; charset=utf-8", page)
}

// document serves a description of the API for programs.
func document(text []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { write(w, "application/json", text) })
}

// serveFile serves an embedded file. A name with dots in it that lead elsewhere is not one (fs.ValidPath).
func serveFile(w http.ResponseWriter, r *http.Request, name, contentType string) {
	content, err := files.ReadFile(name)
	if err != nil || contentType == "" {
		http.NotFound(w, r)
		return
	}
	write(w, contentType, content)
}

func write(w http.ResponseWriter, contentType string, content []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // the client is gone if this fails
}

// guides lists the embedded guides by their first headings.
func guides() page {
	p := page{Title: "Guides", Text: "Plain Markdown, as in the repository."}
	// The walk ends without an error, as nothing in the embedded files can fail to be read.
	_ = fs.WalkDir(files, "docs", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		content, err := files.ReadFile(name)
		heading, _, _ := strings.Cut(string(content), "\n")
		p.Links = append(p.Links, link{Path: "/" + name, Name: strings.TrimPrefix(name, "docs/"), Text: strings.TrimLeft(heading, "# ")})
		return err
	})
	return p
}
