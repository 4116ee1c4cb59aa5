package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sizeUnits are the units of sizes, largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// formatSize writes a number of bytes without loss: in the largest unit of which it is a multiple.
func formatSize(n int64) string {
	for _, unit := range sizeUnits {
		if n != 0 && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// parseSize reads a number of bytes: 4096, 4096B, 4KiB, 4 KiB. Decimal units (KB, MB) are refused, as half of
// their readers take them for the binary ones.
func parseSize(text string) (int64, error) {
	digits, factor := text, int64(1)
	for _, unit := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, unit.name); ok {
			digits, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is not a size: a number of bytes, or of KiB, MiB or GiB, like 256KiB", text)
	}
	return n * factor, nil
}

// formatDuration is d.String without its zero parts: 1h rather than 1h0m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

var (
	// passwordInUser is the password of scheme://user:password@host. It reaches to the last @, as people forget
	// to escape theirs; hiding too much is no harm.
	passwordInUser = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://[^:@/?#]*:).*@`)
	// passwordInList is the password of a query or of key = value pairs.
	passwordInList = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:\\.|[^'\\])*'?|[^&\s]*)`)
)

// maskPassword replaces the passwords in a PostgreSQL URL or connection string.
func maskPassword(url string) string {
	url = passwordInUser.ReplaceAllString(url, "${1}xxxxx@")
	return passwordInList.ReplaceAllString(url, "${1}xxxxx")
}
