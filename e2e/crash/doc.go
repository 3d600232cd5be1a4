// Package crash kills Qanat at every named point of a flow, again and again, and compares what is there at the end with what an
// undisturbed run leaves: nothing lost, nothing twice, the accounts equal, nothing confirmed early. It has tests only; they drive
// built binaries through the rig. A part of them is quick; QANAT_SLOW=1 runs the whole matrix, as "make test-crash" does.
// ../mutants proves that the tests here can fail. ../README.md says how it is used and shows a report.
package crash
