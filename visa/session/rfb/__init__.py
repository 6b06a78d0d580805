"""The RFB protocol between two ends that are both not trusted: pure, no I/O.

Bytes go in, the bytes that may pass come out. Whatever is not understood raises `Violation`, after which the
connection ends: a filter that lost count would let anything through. Rules are those of RFC 6143 (RFB 3.8) and,
for what came later, of rfbproto (https://github.com/rfbproto/rfbproto).
"""
