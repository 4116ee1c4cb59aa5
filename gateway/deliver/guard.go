package deliver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// errAddressRefused says that a webhook's host resolves to an address that webhooks may not be sent to.
var errAddressRefused = errors.New("address is not part of the public Internet, and no allowed network")

// guard keeps webhooks from addresses that only this machine or its network can reach. It looks at the address that is
// dialled, after names were resolved, so that neither a name nor a redirect leads around it.
type guard struct{ allowed []netip.Prefix }

// notPublic4 is what IANA's registry of special-purpose IPv4 addresses (RFC 6890) does not list as globally reachable,
// multicast and the old 6to4 relays included.
var notPublic4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")

// public6 is all of IPv6 that is given out as global unicast; notPublic6 are the exceptions in it: protocol assignments
// (Teredo among them) and documentation.
var (
	public6    = netip.MustParsePrefix("2000::/3")
	notPublic6 = prefixes("2001::/23", "2001:db8::/32", "3fff::/20")
)

// carriers are IPv6 networks whose addresses hold an IPv4 address, from the given byte on, to which they lead.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

func contains(list []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// permits says whether webhooks may be sent to addr.
func (g *guard) permits(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if contains(g.allowed, addr) {
		return true
	}
	for _, c := range carriers {
		if c.prefix.Contains(addr) {
			b := addr.As16()
			return g.permits(netip.AddrFrom4([4]byte(b[c.at : c.at+4])))
		}
	}
	if addr.Is4() {
		return !contains(notPublic4, addr)
	}
	return public6.Contains(addr) && !contains(notPublic6, addr)
}

// control is a net.Dialer's ControlContext: it sees each address right before it is connected to.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: %s %s", errAddressRefused, network, address)
	}
	if !g.permits(to.Addr()) {
		return fmt.Errorf("%w: %s", errAddressRefused, to.Addr())
	}
	return nil
}
