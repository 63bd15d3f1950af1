"""The most similar example is the right one, also where no spaces separate words."""

from __future__ import annotations

import numpy as np
import pytest

from promptkit.baselines.text_features import TextCounts
from promptkit.selection.ranking import nearest
from promptkit.selection.similarity import TfIdf
from promptkit.students.tfidf_features import TfIdfFeatures

SETS = {
    "Thai": [
        ("ฉันอยากยกเลิกตั๋วเครื่องบินไปเชียงใหม่", "ขอยกเลิกตั๋วเครื่องบินพรุ่งนี้ได้ไหม"),
        ("บัตรเครดิตของฉันหายต้องทำอย่างไร", "ทำบัตรเครดิตหายเมื่อคืนนี้"),
        ("พรุ่งนี้ฝนจะตกที่กรุงเทพหรือเปล่า", "วันนี้ที่ภูเก็ตฝนจะตกไหม"),
        ("ช่วยแนะนำร้านอาหารอร่อยใกล้สถานีรถไฟ", "มีร้านอาหารแถวสถานีรถไฟไหม"),
        ("ฉันลืมรหัสผ่านเข้าระบบไม่ได้", "เปลี่ยนรหัสผ่านเข้าระบบอย่างไร"),
    ],
    "Chinese": [
        ("我想取消去上海的机票", "明天的机票可以取消吗"),
        ("我的信用卡丢了怎么办", "昨晚信用卡丢了"),
        ("明天北京会下雨吗", "今天广州会不会下雨"),
        ("请推荐火车站附近好吃的餐厅", "火车站旁边有没有餐厅"),
        ("我忘记密码登录不了", "怎样修改登录密码"),
    ],
    "Japanese": [
        ("大阪行きの航空券をキャンセルしたいです", "明日の航空券はキャンセルできますか"),
        ("クレジットカードをなくしました", "昨夜クレジットカードを落とした"),
        ("明日東京で雨が降りますか", "今日は京都で雨が降るかな"),
        ("駅の近くのおいしいレストランを教えて", "駅のそばにレストランはありますか"),
        ("パスワードを忘れてログインできない", "ログインのパスワードを変えたい"),
    ],
    "Khmer": [
        ("ខ្ញុំចង់លុបចោលសំបុត្រយន្តហោះទៅសៀមរាប", "អាចលុបចោលសំបុត្រយន្តហោះថ្ងៃស្អែកបានទេ"),
        ("កាតឥណទានរបស់ខ្ញុំបាត់តើធ្វើដូចម្តេច", "យប់មិញខ្ញុំបាត់កាតឥណទាន"),
        ("ស្អែកនេះភ្នំពេញនឹងមានភ្លៀងទេ", "ថ្ងៃនេះកំពតមានភ្លៀងឬអត់"),
        ("សូមណែនាំភោជនីយដ្ឋានឆ្ងាញ់ក្បែរស្ថានីយរថភ្លើង", "មានភោជនីយដ្ឋាននៅជិតស្ថានីយរថភ្លើងទេ"),
        ("ខ្ញុំភ្លេចពាក្យសម្ងាត់ចូលមិនបាន", "តើប្តូរពាក្យសម្ងាត់យ៉ាងម៉េច"),
    ],
    "Hindi": [
        ("मुझे दिल्ली का हवाई टिकट रद्द करना है", "क्या कल का हवाई टिकट रद्द हो सकता है"),
        ("मेरा क्रेडिट कार्ड खो गया है", "कल रात क्रेडिट कार्ड गुम गया"),
        ("क्या कल मुंबई में बारिश होगी", "आज पुणे में बारिश होगी या नहीं"),
        ("रेलवे स्टेशन के पास अच्छा भोजनालय बताइए", "स्टेशन के निकट कोई भोजनालय है क्या"),
        ("मैं पासवर्ड भूल गया, लॉगिन नहीं हो रहा", "लॉगिन का पासवर्ड कैसे बदलें"),
    ],
}
"""Five requests of a bank, a railway and so on: a demonstration and a query of each."""


@pytest.mark.parametrize("language", SETS)
def test_the_nearest_example_is_the_right_one(language: str) -> None:
    pool, queries = zip(*SETS[language], strict=True)
    rows = [*TfIdf(pool).rows(queries)]
    assert [int(nearest(row, 1)[0]) for row in rows] == [*range(len(pool))]


@pytest.mark.parametrize("language", SETS)
def test_features_of_students_and_baselines_find_it_too(language: str) -> None:
    pool, queries = zip(*SETS[language], strict=True)
    features = TfIdfFeatures.of(pool, least=1)
    found = (features.matrix(queries) @ features.matrix(pool).T).toarray()
    assert np.argmax(found, axis=1).tolist() == [*range(len(pool))]
    counts = TextCounts(pool)
    rows = counts.part(range(len(pool)))
    found = (rows.weigh(counts.of(queries)) @ rows.weigh(counts.counts).T).toarray()
    assert np.argmax(found, axis=1).tolist() == [*range(len(pool))]
