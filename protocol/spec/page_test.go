package spec_test

import (
	"strings"
	"testing"

	"github.com/nusku-messaging/nusku/protocol"
	"github.com/nusku-messaging/nusku/protocol/spec"
)

func TestPage(t *testing.T) {
	t.Parallel()
	page, err := spec.Page()
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, a := range protocol.Actions() {
		_, rest, found := strings.Cut(text, `<article id="`+a.Name+`">`)
		article, _, _ := strings.Cut(rest, "</article>")
		if !found {
			t.Errorf("the page lacks %s", a.Name)
		}
		for _, f := range (a.Required | a.Optional).Fields() {
			if !strings.Contains(article, "<code>"+f.Name+"</code>") {
				t.Errorf("%s lacks %s", a.Name, f.Name)
			}
		}
		if _, rest := a.RESTForm(); rest && !strings.Contains(article, "<code>GET /") && !strings.Contains(article, "<code>P") && !strings.Contains(article, "<code>DELETE /") {
			t.Errorf("%s has no HTTP request", a.Name)
		}
	}
	for _, broken := range []string{"&lt;nil&gt;", "ZgotmplZ", "See ."} {
		if strings.Contains(text, broken) {
			t.Errorf("the page says %q", broken)
		}
	}
}
