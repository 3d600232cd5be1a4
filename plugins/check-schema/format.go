package main

import (
	"encoding/base64"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/qanat-data/qanat/specs/contract"
)

// formatTest says whether a text has a form.
func formatTest(f contract.Format) func(string) bool {
	switch f {
	case contract.FormatEmail:
		return isEmail
	case contract.FormatUUID:
		return func(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }
	case contract.FormatURI:
		return func(s string) bool {
			u, err := url.Parse(s)
			return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "" || u.Path != "")
		}
	case contract.FormatHostname:
		return isHostname
	case contract.FormatIPv4:
		return func(s string) bool {
			address, err := netip.ParseAddr(s)
			return err == nil && address.Is4()
		}
	case contract.FormatIPv6:
		return func(s string) bool {
			address, err := netip.ParseAddr(s)
			return err == nil && address.Is6()
		}
	default:
		return func(s string) bool {
			_, err := base64.StdEncoding.DecodeString(s)
			return err == nil
		}
	}
}

// isEmail takes a bare address: no name around it, and a host behind the at sign.
func isEmail(s string) bool {
	address, err := mail.ParseAddress(s)
	return err == nil && address.Address == s && isHostname(s[strings.LastIndexByte(s, '@')+1:])
}

var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// isHostname follows RFC 1123.
func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if !label.MatchString(part) {
			return false
		}
	}
	return true
}
