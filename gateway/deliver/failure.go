package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// requestFailure says why a request had no answer. The text for clients names no address that a host resolves to: it
// would show them the network that the gateway is in.
func requestFailure(ctx context.Context, err error) *Failure {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the URL may hold secrets
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return &Failure{Reason: requestReason(err), Down: !errors.Is(err, errRedirect), Cause: err}
}

func requestReason(err error) string {
	var lookup *net.DNSError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var network net.Error
	switch {
	case errors.Is(err, errAddressRefused):
		return "webhooks may not be sent to the address of the host"
	case errors.Is(err, errRedirect):
		return err.Error()
	case errors.As(err, &lookup) && lookup.IsNotFound:
		return "host not found"
	case errors.As(err, &lookup):
		return "host name cannot be looked up"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &hostname):
		return "TLS certificate not valid"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "no TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	return "connection lost"
}

// downStatus are the answers that say that nobody is behind the endpoint who could take messages.
var downStatus = map[int]bool{
	http.StatusBadGateway: true, http.StatusServiceUnavailable: true, http.StatusGatewayTimeout: true,
}

// answerFailure is an answer that is not 2xx.
func answerFailure(response *http.Response, now time.Time) *Failure {
	f := &Failure{Reason: "answered " + strconv.Itoa(response.StatusCode), Down: downStatus[response.StatusCode]}
	if text := http.StatusText(response.StatusCode); text != "" {
		f.Reason = fmt.Sprintf("answered %d %s", response.StatusCode, text)
	}
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable {
		f.RetryAfter = retryAfter(response.Header.Get("Retry-After"), now)
	}
	return f
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, section 10.2.3); 0 if it is neither.
func retryAfter(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxDelay/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxDelay)
	}
	return 0
}
