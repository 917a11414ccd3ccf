package lockstep

import "errors"

// Codes of rejections that the SDK gives itself. A machine's own begin at 16.
const (
	CodeError       = 1 // the machine returned an error without a code
	CodeUnsupported = 2 // the machine lacks the interface that was asked for
)

// Rejection is an error with a code for the caller to branch on.
type Rejection struct {
	Code    uint32 // not 0
	Message string
}

func (r *Rejection) Error() string { return r.Message }

// Reject returns a Rejection.
func Reject(code uint32, message string) error { return &Rejection{code, message} }

var errUnsupported = Reject(CodeUnsupported, "not supported by this machine")

// verdict is the code and output that stand for an error.
func verdict(err error) (code uint32, output []byte) {
	code = CodeError
	if r := (*Rejection)(nil); errors.As(err, &r) && r.Code != 0 {
		code = r.Code
	}
	return code, []byte(err.Error())
}
