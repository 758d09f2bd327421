"""Facts and other fillers of `template_sentences`: capitals, languages, founders, mountains, and random numbers, dates
and places."""

from __future__ import annotations

import random

SINGULAR = {"metres", "storeys"}  # slots that end in s without being several
COUNTRIES = [
    tuple(row.split()) for row in (
        "德国 柏林 德语", "英国 伦敦 英语", "意大利 罗马 意大利语", "西班牙 马德里 西班牙语", "葡萄牙 里斯本 葡萄牙语", "希腊 雅典 希腊语", "荷兰 阿姆斯特丹 荷兰语", "奥地利 维也纳 德语", "匈牙利 布达佩斯 匈牙利语", "波兰 华沙 波兰语",
        "捷克 布拉格 捷克语", "瑞典 斯德哥尔摩 瑞典语", "挪威 奥斯陆 挪威语", "丹麦 哥本哈根 丹麦语", "芬兰 赫尔辛基 芬兰语", "俄罗斯 莫斯科 俄语", "乌克兰 基辅 乌克兰语", "罗马尼亚 布加勒斯特 罗马尼亚语", "保加利亚 索非亚 保加利亚语", "塞尔维亚 贝尔格莱德 塞尔维亚语",
        "克罗地亚 萨格勒布 克罗地亚语", "爱尔兰 都柏林 英语", "土耳其 安卡拉 土耳其语", "伊朗 德黑兰 波斯语", "伊拉克 巴格达 阿拉伯语", "叙利亚 大马士革 阿拉伯语", "黎巴嫩 贝鲁特 阿拉伯语", "约旦 安曼 阿拉伯语", "沙特阿拉伯 利雅得 阿拉伯语", "科威特 科威特城 阿拉伯语",
        "卡塔尔 多哈 阿拉伯语", "阿曼 马斯喀特 阿拉伯语", "也门 萨那 阿拉伯语", "阿富汗 喀布尔 普什图语", "巴基斯坦 伊斯兰堡 乌尔都语", "印度 新德里 印地语", "尼泊尔 加德满都 尼泊尔语", "孟加拉国 达卡 孟加拉语", "不丹 廷布 宗卡语", "马尔代夫 马累 迪维希语",
        "泰国 曼谷 泰语", "越南 河内 越南语", "老挝 万象 老挝语", "柬埔寨 金边 高棉语", "菲律宾 马尼拉 英语", "马来西亚 吉隆坡 马来语", "韩国 首尔 韩语", "蒙古 乌兰巴托 蒙古语", "乌兹别克斯坦 塔什干 乌兹别克语", "塔吉克斯坦 杜尚别 塔吉克语",
        "吉尔吉斯斯坦 比什凯克 俄语", "土库曼斯坦 阿什哈巴德 土库曼语", "格鲁吉亚 第比利斯 格鲁吉亚语", "阿塞拜疆 巴库 阿塞拜疆语", "亚美尼亚 埃里温 亚美尼亚语", "新西兰 惠灵顿 英语", "斐济 苏瓦 英语", "美国 华盛顿 英语", "墨西哥 墨西哥城 西班牙语", "古巴 哈瓦那 西班牙语",
        "牙买加 金斯敦 英语", "巴拿马 巴拿马城 西班牙语", "哥斯达黎加 圣何塞 西班牙语", "危地马拉 危地马拉城 西班牙语", "哥伦比亚 波哥大 西班牙语", "委内瑞拉 加拉加斯 西班牙语", "厄瓜多尔 基多 西班牙语", "秘鲁 利马 西班牙语", "智利 圣地亚哥 西班牙语", "阿根廷 布宜诺斯艾利斯 西班牙语",
        "乌拉圭 蒙得维的亚 西班牙语", "巴拉圭 亚松森 西班牙语", "摩洛哥 拉巴特 阿拉伯语", "阿尔及利亚 阿尔及尔 阿拉伯语", "突尼斯 突尼斯市 阿拉伯语", "利比亚 的黎波里 阿拉伯语", "苏丹 喀土穆 阿拉伯语", "埃塞俄比亚 亚的斯亚贝巴 阿姆哈拉语", "坦桑尼亚 多多马 斯瓦希里语", "乌干达 坎帕拉 英语",
        "卢旺达 基加利 英语", "赞比亚 卢萨卡 英语", "津巴布韦 哈拉雷 英语", "莫桑比克 马普托 葡萄牙语", "安哥拉 罗安达 葡萄牙语", "加纳 阿克拉 英语", "尼日利亚 阿布贾 英语", "塞内加尔 达喀尔 法语", "马里 巴马科 法语", "喀麦隆 雅温得 法语",
        "纳米比亚 温得和克 英语", "博茨瓦纳 哈博罗内 英语", "拉脱维亚 里加 拉脱维亚语", "立陶宛 维尔纽斯 立陶宛语", "爱沙尼亚 塔林 爱沙尼亚语", "斯洛伐克 布拉迪斯拉发 斯洛伐克语", "斯洛文尼亚 卢布尔雅那 斯洛文尼亚语", "阿尔巴尼亚 地拉那 阿尔巴尼亚语", "摩尔多瓦 基希讷乌 罗马尼亚语",
    )
]  # fmt: skip
FOUNDERS = [
    tuple(row.split()) for row in (
        "苹果公司 史蒂夫·乔布斯", "亚马逊 杰夫·贝索斯", "百度 李彦宏", "网易 丁磊", "搜狐 张朝阳", "联想 柳传志", "字节跳动 张一鸣", "美团 王兴", "拼多多 黄峥", "滴滴 程维", "大疆创新 汪滔", "谷歌 拉里·佩奇", "谷歌 谢尔盖·布林",
        "甲骨文公司 拉里·埃里森", "松下电器 松下幸之助", "本田公司 本田宗一郎", "索尼 盛田昭夫", "宜家 英格瓦·坎普拉德", "福耀玻璃 曹德旺", "万达集团 王健林", "苏宁 张近东", "吉利集团 李书福", "蔚来汽车 李斌", "理想汽车 李想", "小鹏汽车 何小鹏",
        "宁德时代 曾毓群", "携程 梁建章", "奇虎360 周鸿祎", "知乎 周源", "豆瓣 杨勃", "老干妈 陶华碧", "三一重工 梁稳根", "耐克 菲尔·奈特", "迪士尼公司 华特·迪士尼", "英特尔公司 戈登·摩尔", "脸书 马克·扎克伯格", "戴尔公司 迈克尔·戴尔", "维珍集团 理查德·布兰森",
    )
]  # fmt: skip
PEAKS = [
    tuple(row.split()) for row in (
        "乔戈里峰 8611米", "干城章嘉峰 8586米", "洛子峰 8516米", "马卡鲁峰 8485米", "卓奥友峰 8201米", "希夏邦马峰 8027米", "勃朗峰 4806米", "贡嘎山 7508.9米", "泰山玉皇顶 1532.7米", "峨眉山 3099米", "阿空加瓜山 6961米", "肯尼亚山 5199米",
        "衡山祝融峰 1300.2米", "武当山 1612米", "五台山北台顶 3061米", "玉龙雪山 5596米", "梅里雪山 6740米", "慕士塔格峰 7546米", "马特洪峰 4478米", "厄尔布鲁士山 5642米",
    )
]  # fmt: skip
COMPANIES = (
    "海尔集团 美的集团 海康威视 中兴通讯 京东方 长城汽车 长安汽车 上汽集团 中国平安 招商银行 伊利股份 蒙牛乳业 五粮液 恒瑞医药 云南白药 同仁堂 丰田汽车 本田汽车 宝马 大众汽车 空客 波音公司 通用电气 拜耳 雀巢 联合利华 可口可乐公司 "
    "三菱电机 日立 佳能 尼康 任天堂 现代汽车 高通公司 英伟达 思科 奈飞 优步 爱立信 诺基亚 壳牌 中国移动 中国银行 国家电网 中国石化 海底捞 蜜雪冰城 安踏 李宁公司 波司登 顺鑫农业 科大讯飞 用友网络 东软集团 春秋航空 圆通速递 中通快递 "
    "晨光文具 公牛集团 农夫山泉 双汇发展 青岛海信 徐工集团 潍柴动力 隆基绿能 通威股份 东方电气 华谊兄弟 光线传媒 博纳影业 上海科学教育电影制片厂 长春电影制片厂 北京电影制片厂 峨眉电影制片厂 珠江电影制片厂 香港无线电视台 环球影业 索尼影业 哥伦比亚影业公司 "
    "米高梅公司 华纳兄弟公司 迪士尼影业 万达影视传媒有限公司 北京文化传媒有限公司 追光动画"
).split()
PROVINCES = {
    "广东": "广州 佛山 东莞 惠州 中山", "浙江": "宁波 温州 嘉兴 金华 台州", "江苏": "南京 苏州 无锡 常州 徐州", "山东": "济南 烟台 潍坊 临沂", "福建": "福州 厦门 泉州", "四川": "成都 绵阳 德阳 宜宾", "湖北": "武汉 宜昌 襄阳", "湖南": "长沙 株洲 湘潭",
    "河南": "郑州 洛阳 开封", "河北": "石家庄 唐山 保定", "安徽": "合肥 芜湖 黄山", "陕西": "西安 宝鸡 咸阳", "辽宁": "沈阳 大连 鞍山", "贵州": "贵阳 遵义", "云南": "昆明 大理 丽江", "江西": "南昌 赣州 九江", "黑龙江": "哈尔滨 大庆", "吉林": "长春 四平", "山西": "太原 大同", "甘肃": "兰州 天水",
}  # fmt: skip
ABROAD = "美国纽约 美国西雅图 美国加利福尼亚州 日本东京 日本大阪 英国伦敦 法国里昂 德国柏林 德国斯图加特 瑞士苏黎世 荷兰埃因霍温 韩国首尔 瑞典斯德哥尔摩 意大利米兰 加拿大多伦多 新加坡 芬兰埃斯波".split()
DIRECT = "北京市 上海市 天津市 重庆市 北京 上海 天津 重庆 深圳 杭州 北京市海淀区 北京市朝阳区 上海市浦东新区 上海市徐汇区 天津市滨海新区 重庆市渝北区 深圳市福田区".split()
DISTRICTS = "高新区 开发区 城东区 西湖镇 新华区 河西区 东城街道 龙泉镇 江北区 南湖区".split()
BASES = "清溪 石门 云台 青龙 白马 大安 平阳 永宁 长乐 新丰 龙江 东山 金沙 安远 兴隆 太和 宝丰 南溪 凤凰 罗平 黑石 天柱 玉泉 翠屏 双桥".split()
JOBS = "作家 诗人 物理学家 化学家 数学家 画家 演员 导演 历史学家 歌手 企业家 工程师 教育家 哲学家 医生 记者 军事家 院士 篮球运动员 钢琴家".split()
DYNASTIES = "唐代 宋代 明代 清代 北宋 南宋 元代 明朝 清朝 唐朝 东汉 西汉 三国 东晋".split()
STYLES = "子瞻 介甫 永叔 摩诘 孟德 玄德 子美 乐天 退之 牧之 义山 务观 稼轩 若虚 季真 伯虎 徵明 板桥".split()


def draw(slot: str, generator: random.Random) -> str:
    """A random filler.

    Args:
        slot: a name in a template that neither the training data nor the facts fill.
        generator: of the draws.
    """
    choice, number = generator.choice, generator.randint
    year = number(1850, 2021)
    match slot:
        case "year":
            return f"{year}年"
        case "month":
            return str(number(1, 12))
        case "date":
            month, day = number(1, 12), number(1, 28)
            full = f"{year}年{month}月{day}日"
            forms = (full, full, full, full, full, f"{year}年{month}月", f"{year}年", f"{year}年{month:02}月{day:02}日", f"{year}-{month}-{day}", f"{year}.{month}.{day}")  # fmt: skip
            return choice(forms)
        case "city" | "birthplace" | "place":
            return _place(slot, generator)
        case "province":
            return choice(list(PROVINCES)) + "省"
        case "county":
            return choice(BASES) + choice(("县", "镇", "乡", "市", "区", "村", "新区"))
        case "mountain":
            return choice(BASES) + choice(("山", "峰", "岭", "尖", "主峰", "雪山"))
        case "site":
            return choice(BASES) + choice(("公园", "中学", "小学", "博物馆", "大学", "工业园", "寺", "体育馆", "植物园", "古城", "医院", "图书馆"))  # fmt: skip
        case "organisation":
            return choice((*BASES, "中国", "华东", "国际")) + choice(("研究院", "大学", "出版社", "协会", "银行", "理工学院", "集团", "电视台", "足球俱乐部", "基金会", "股份有限公司", "科技有限公司", "天文台"))  # fmt: skip
        case "job":
            return choice(JOBS)
        case "dynasty":
            return choice(DYNASTIES)
        case "styled":
            return choice(STYLES)
        case "called":
            return choice(BASES) + choice(("居士", "山人", "先生", "道人"))
        case "storeys":
            return str(number(12, 90))
        case _:
            return _quantity(slot, generator)


def _place(slot: str, generator: random.Random) -> str:
    province = generator.choice(list(PROVINCES))
    city = generator.choice(PROVINCES[province].split())
    if slot == "city":
        return city
    own = (
        province + city,
        f"{province}省{city}市",
        city,
        f"{city}市",
        f"{province}省{city}市{generator.choice(DISTRICTS)}",
    )
    return generator.choice((*own, *own, generator.choice(ABROAD), generator.choice(DIRECT)))


def _quantity(slot: str, generator: random.Random) -> str:
    choice = generator.choice
    count = generator.randint(11, 9900)
    decimals = generator.choice((0, 0, 1, 2))
    large = f"{count / 10**decimals:.{decimals}f}"
    match slot:
        case "height":
            return f"{generator.randint(120, 8200)}{choice(('', '', '.3', '.86', '.5'))}米"
        case "area":
            return large + choice(("平方公里", "平方公里", "平方千米", "万平方公里", "亩", "公顷", "平方千米", "万亩"))
        case "ground":
            return large + choice(("平方米", "平方米", "万平方米", "亩", "多亩", "公顷", "余亩"))
        case "stature":
            size = generator.randint(150, 229)
            return choice((f"{size}厘米", f"{size}cm", f"{size / 100:.2f}米", f"{size}公分", f"{size} cm"))
        case "money":
            return large + choice(("亿元", "亿元", "万元", "亿", "亿美元", "万美元", "亿元人民币"))
        case "capitalsum":
            return large + choice(("万元", "亿元", "万元人民币", "万美元"))
        case "people":
            return large.partition(".")[0] + choice(("人", "万人", "多人", "余人")) if decimals < 2 else f"{large}万人"
        case _:
            raise ValueError(f"No filler is known for the slot {slot!r}.")
