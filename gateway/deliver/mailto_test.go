package deliver

import (
	"slices"
	"strings"
	"testing"
)

func TestParseMailto(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]*Mailto{
		"mailto:ada@example.com":                          {To: []string{"ada@example.com"}},
		"MAILTO:ada@example.com":                          {To: []string{"ada@example.com"}},
		"mailto:ada@example.com,bob@example.org":          {To: []string{"ada@example.com", "bob@example.org"}},
		"mailto:bob%2Btag@example.com?SUBJECT=x%20y+z%2B": {To: []string{"bob+tag@example.com"}, Subject: "x y z+"},
		"mailto:ada@example.com?subject=":                 {To: []string{"ada@example.com"}},
		"mailto:ada@example.com?":                         {To: []string{"ada@example.com"}},

		"mailto:":                                    nil,
		"mailto:?subject=x":                          nil,
		"mailto:ada":                                 nil,
		"mailto:ada@example.com,":                    nil,
		"mailto:ada@example.com?cc=eve@x.com":        nil,
		"mailto:ada@example.com?bcc=eve@x.com":       nil,
		"mailto:ada@example.com?to=eve@x.com":        nil,
		"mailto:ada@example.com?body=x":              nil,
		"mailto:ada@example.com?subject=a&subject=b": nil,
		"mailto:ada@example.com?subject=a&Subject=b": nil,
		"mailto:ada@example.com?subject=a%0ab":       nil,
		"mailto:ada@example.com?subject=%ff":         nil,
		"mailto:ada@example.com?subject=%zz":         nil,
		"mailto:ada@example.com#x":                   nil,
		"mailto://ada@example.com":                   nil,
		"mailto:Ada%20%3Cada@example.com%3E":         nil,
		"mailto:ada%2Cbob@example.com":               nil,
		"mailto:ada%0a@example.com":                  nil,
		"mailto:-oQ/tmp@example.com":                 nil,
		"http://example.com/":                        nil,
		"":                                           nil,
		"mailto:" + strings.Repeat("a@example.com,", 10) + "a@example.com": nil,
		"mailto:a@example.com?subject=" + strings.Repeat("x", 251):         nil,
		"mailto:" + strings.Repeat("a", 250) + "@example.com":              nil,
	} {
		got, err := ParseMailto(uri)
		if want == nil {
			if err == nil {
				t.Errorf("%s: taken as %+v", uri, got)
			}
			continue
		}
		if err != nil || !slices.Equal(got.To, want.To) || got.Subject != want.Subject {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
}

// Whatever is taken can stand in a header and in an SMTP command.
func FuzzParseMailto(f *testing.F) {
	for _, uri := range []string{"mailto:ada@example.com", "mailto:a@b.c,d@e.f?subject=x%0d%0aBcc:y", "mailto:%22a b%22@c.d", "mailto:a@[127.0.0.1]"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		m, err := ParseMailto(uri)
		if err != nil {
			return
		}
		for _, text := range append(slices.Clone(m.To), m.Subject) {
			if !printable(text) {
				t.Errorf("%q: %q", uri, text)
			}
		}
		for _, address := range m.To {
			if strings.ContainsAny(address, "<>\r\n,") || strings.HasPrefix(address, "-") || !strings.Contains(address, "@") {
				t.Errorf("%q: address %q", uri, address)
			}
		}
	})
}
