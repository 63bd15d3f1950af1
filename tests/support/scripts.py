"""Texts in many scripts whose characters are several code points, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

CLUSTERS = [
    *("a", "Z", "7", ".", "é", "e\u0301", "o\u0302\u0301"),
    *("हि", "न्दी", "क्ष", "ज़", "ज\u093c", "क्\u200dष", "फ", "र्त्स्न्य"),  # Devanagari
    *("நி", "கொ", "ക്ഷ", "ന്\u200d", "\u0d9a\u0dca\u200d"),  # Tamil, Malayalam, Sinhala
    *("กำ", "ที่", "ខ្មែ", "မြ", "ལྷ"),  # Thai, Khmer, Burmese, Tibetan
    *("س", "بَّ", "ש\u05b8"),  # Arabic, Hebrew
    *("果", "ガ", "カ\u3099", "한", "\u1112\u1161\u11ab"),  # Chinese, Japanese, Korean
    *(
        "👩\u200d🔬",
        "👨\u200d👩\u200d👧",
        "👍🏽",
        "🇮🇳",
        "❤\ufe0f",
        "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
    ),
]
"""Grapheme clusters, of one code point and of up to seven."""

clusters_of_a_text = st.lists(st.sampled_from(CLUSTERS), max_size=40)
words_of_a_text = st.lists(
    st.lists(st.sampled_from(CLUSTERS), min_size=1, max_size=12).map("".join), max_size=8
)
