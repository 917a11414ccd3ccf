package jetstream

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/nats-io/nats.go"
)

// PermissionError says that the NATS servers do not let this user publish to a
// subject, or subscribe to it. What was to be published was not.
type PermissionError struct {
	Subject   string
	Subscribe bool
}

func (e *PermissionError) Error() string {
	verb := "publish to"
	if e.Subscribe {
		verb = "subscribe to"
	}
	return fmt.Sprintf("the servers do not let this user %s %s: connect as another one, or have its permissions widened there", verb, e.Subject)
}

// deniedText is how nats-server words it.
var deniedText = regexp.MustCompile(`(Publish|Subscription) to "([^"]+)"`)

// Denial is what an error of a connection says that its user may not. A server says so
// in its own time, to the connection's error handler, and not in answer to a message.
func Denial(err error) (PermissionError, bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return PermissionError{}, false
	}
	m := deniedText.FindStringSubmatch(err.Error())
	if m == nil {
		return PermissionError{}, false
	}
	return PermissionError{Subject: m[2], Subscribe: m[1] == "Subscription"}, true
}
