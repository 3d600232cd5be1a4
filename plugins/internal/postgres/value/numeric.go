package value

import (
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/array"
)

// numericCodec keeps numerics that no decimal holds as PostgreSQL prints them.
type numericCodec struct{ textCodec }

func (numericCodec) binary(w *work, b array.Builder, raw []byte) error {
	n, err := readNumeric(raw)
	if err != nil {
		return err
	}
	var scratch [128]byte
	printed := n.print(scratch[:0])
	return addText(w, b, printed)
}

// print appends the number as numeric_out prints it.
func (n numeric) print(to []byte) []byte {
	switch n.sign {
	case signNaN:
		return append(to, "NaN"...)
	case signInfinity:
		return append(to, "Infinity"...)
	case signMinusInf:
		return append(to, "-Infinity"...)
	case signNegative:
		to = append(to, '-')
	}
	if n.weight < 0 {
		to = append(to, '0')
	} else {
		to = strconv.AppendUint(to, n.digit(0), 10)
	}
	for i := 1; i <= n.weight; i++ {
		to = fourDigits(to, n.digit(i))
	}
	if n.display == 0 {
		return to
	}
	to = append(to, '.')
	end := len(to) + n.display
	for i := n.weight + 1; len(to) < end; i++ {
		d := uint64(0)
		if i >= 0 {
			d = n.digit(i)
		}
		to = fourDigits(to, d)
	}
	return to[:end]
}

func fourDigits(to []byte, d uint64) []byte {
	const figures = "0123456789"
	return append(to, figures[d/1000%10], figures[d/100%10], figures[d/10%10], figures[d%10])
}
