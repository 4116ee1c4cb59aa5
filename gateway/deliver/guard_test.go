package deliver

import (
	"errors"
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		addrs []string
		allow []string
		want  bool
	}{
		{"public", []string{"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "2606:4700::1111", "2a00::1"}, nil, true},
		{"private", []string{"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"}, nil, false},
		{"loopback", []string{"127.0.0.1", "127.255.0.1", "::1"}, nil, false},
		{"link-local, cloud metadata", []string{"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0"}, nil, false},
		{"carrier-grade NAT", []string{"100.64.0.1", "100.127.255.254"}, nil, false},
		{"unique local", []string{"fc00::1", "fd12:3456::1", "fd00:ec2::254"}, nil, false},
		{"multicast", []string{"224.0.0.1", "239.255.255.250", "ff02::1"}, nil, false},
		{"unspecified, this network, broadcast, reserved", []string{"0.0.0.0", "0.1.2.3", "::", "255.255.255.255", "240.0.0.1"}, nil, false},
		{"documentation, benchmarks", []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "2001:db8::1", "3fff::1"}, nil, false},
		{"IPv4-mapped", []string{"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe"}, nil, false},
		{"IPv4-compatible", []string{"::127.0.0.1", "::8.8.8.8"}, nil, false},
		{"NAT64 to private", []string{"64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "64:ff9b:1::808:808"}, nil, false},
		{"NAT64 to public", []string{"64:ff9b::808:808"}, nil, true},
		{"6to4 to private", []string{"2002:7f00:1::1", "2002:a00:1::", "2002:a9fe:a9fe::"}, nil, false},
		{"Teredo", []string{"2001::1", "2001:0:a00:1::"}, nil, false},
		{"not given out", []string{"4000::1", "1000::1", "fec0::1"}, nil, false},
		{"allowed network", []string{"10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "::1"}, []string{"10.1.0.0/16", "::1"}, true},
		{"beside the allowed network", []string{"10.2.0.1", "::2", "127.0.0.1"}, []string{"10.1.0.0/16", "::1"}, false},
	} {
		allowed, err := parseNetworks(c.allow)
		if err != nil {
			t.Fatal(err)
		}
		g := &guard{allowed: allowed}
		for _, text := range c.addrs {
			if got := g.permits(netip.MustParseAddr(text)); got != c.want {
				t.Errorf("%s: %s: permitted %t", c.name, text, got)
			}
			err := g.control(t.Context(), "tcp6", netip.AddrPortFrom(netip.MustParseAddr(text), 80).String(), nil)
			if refused := errors.Is(err, errAddressRefused); refused == c.want {
				t.Errorf("%s: dial to %s: %v", c.name, text, err)
			}
		}
	}
	if err := (&guard{}).control(t.Context(), "unix", "/tmp/socket", nil); !errors.Is(err, errAddressRefused) {
		t.Errorf("dial to a Unix socket: %v", err)
	}
}

func TestParseNetworks(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "10.0.0.0/33", "example.com", "fe80::1%eth0", "::ffff:10.0.0.0/104", "10.0.0.1:80"} {
		if _, err := parseNetworks([]string{text}); err == nil {
			t.Errorf("%q is taken for a network", text)
		}
	}
}

// FuzzGuard has any address: what it permits must be public in every spelling.
func FuzzGuard(f *testing.F) {
	for _, text := range []string{"127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "2606:4700::1111"} {
		f.Add(netip.MustParseAddr(text).AsSlice())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			t.Skip()
		}
		g := &guard{}
		permitted := g.permits(addr)
		plain := addr.Unmap()
		private := plain.IsPrivate() || plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()
		if permitted && private {
			t.Errorf("%s is permitted", addr)
		}
		if !plain.Is4() {
			return
		}
		b := plain.As4()
		for _, spelling := range []netip.Addr{
			netip.AddrFrom16(plain.As16()),
			netip.AddrFrom16([16]byte{0: 0x20, 1: 0x02, 2: b[0], 3: b[1], 4: b[2], 5: b[3]}),
			netip.AddrFrom16([16]byte{1: 0x64, 2: 0xff, 3: 0x9b, 12: b[0], 13: b[1], 14: b[2], 15: b[3]}),
		} {
			if g.permits(spelling) != permitted {
				t.Errorf("%s: permitted %t, but %s: %t", addr, permitted, spelling, !permitted)
			}
		}
	})
}
