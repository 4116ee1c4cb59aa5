package deliver

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxHostname is the longest name that the domain name system has. Bytes.
const maxHostname = 253

// checkWebhookAddress says what is wrong with an address that net/url takes, but no request could be sent to. text is
// what u was read from; the error shows nothing of it.
func checkWebhookAddress(text string, u *url.URL) error {
	if !utf8.ValidString(text) || strings.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) >= 0 {
		return errors.New("the address has a space or a control character in it")
	}
	if _, port, found := strings.Cut(u.Host[strings.LastIndexByte(u.Host, ']')+1:], ":"); found {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("the address has no port from 1 to 65535")
		}
	}
	if !validHost(u.Hostname()) {
		return errors.New("the address has no valid host")
	}
	return nil
}

// validHost says whether host is an IP address or may be a name. Letters of any alphabet may, for they have a spelling in
// ASCII, and so may underscores, which some networks have in theirs.
func validHost(host string) bool {
	if strings.ContainsRune(host, ':') {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	if len(host) > maxHostname {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		foreign := func(r rune) bool { return r != '-' && r != '_' && !unicode.In(r, unicode.L, unicode.M, unicode.N) }
		if strings.IndexFunc(label, foreign) >= 0 {
			return false
		}
	}
	return true
}
