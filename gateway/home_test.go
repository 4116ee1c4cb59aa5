package gateway

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recordedHome reads the recorded home document's resources.
func recordedHome(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "protocol", "testdata", "zaqar-rest-v2.json"))
	if err != nil {
		t.Fatal(err)
	}
	var record []struct {
		Path   string
		Expect struct {
			Status int
			Body   json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	for _, step := range record {
		if step.Path == "/v2/" && step.Expect.Status == 200 {
			return homeResources(t, step.Expect.Body)
		}
	}
	t.Fatal("the record has no home document")
	return nil
}

func homeResources(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var home struct{ Resources map[string]any }
	if err := json.Unmarshal(document, &home); err != nil {
		t.Fatal(err)
	}
	return home.Resources
}

func TestHomeDocumentHasWhatWasRecorded(t *testing.T) {
	t.Parallel()
	recorded, own := recordedHome(t), homeResources(t, homeJSON())
	if len(recorded) < 24 {
		t.Fatalf("the record has %d resources only", len(recorded))
	}
	for rel, want := range recorded {
		if diff := cmp.Diff(want, own[rel]); diff != "" {
			t.Errorf("%s: %s", rel, diff)
		}
	}
	if len(own) != len(homeEntries) {
		t.Errorf("%d resources of %d entries: a name comes twice", len(own), len(homeEntries))
	}
}

// TestHomeDocumentAndRoutesAgree holds the table of the home document against the route table, both ways.
func TestHomeDocumentAndRoutesAgree(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, e := range homeEntries {
		at, _ := resources.find(strings.NewReplacer("{", "", "}", "").Replace(e.pattern))
		if at == nil {
			t.Errorf("rel/%s: no route %s", e.rel, e.pattern)
			continue
		}
		for _, method := range e.allow {
			if !slices.ContainsFunc(at.rows, func(r *Route) bool { return r.Method == method }) {
				t.Errorf("rel/%s: %s is not allowed on %s", e.rel, method, e.pattern)
			}
			listed[method+" "+at.rows[0].Pattern] = true
		}
	}
	for _, r := range Routes() {
		if r.Method != "HEAD" && r.Pattern != "/" && r.Pattern != "/v2/" && !listed[r.Method+" "+r.Pattern] {
			t.Errorf("%s %s is in no entry of the home document", r.Method, r.Pattern)
		}
	}
}

func TestHomeDocument(t *testing.T) {
	t.Parallel()
	want := string(homeJSON())
	checkAll(t, newSessionBackend(), []bothWays{
		{name: "home", request: "GET /v2/", status: 200, response: want,
			got:    map[string]string{"Content-Type": "application/json-home", "Cache-Control": "max-age=86400"},
			action: "get_home_doc", frame: `{}`, replyStatus: 200, reply: want},
	})
}
