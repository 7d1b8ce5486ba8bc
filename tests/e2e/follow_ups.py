"""Follow-up questions over the sample documents, and what the passage that answers them says."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FollowUp:
    asked: str  # the question before
    answered: str
    question: str
    finds: str  # stands in the passage that answers it


FOLLOW_UPS = (
    FollowUp("How much may a hotel cost a night?", "Up to 140 euros a night. [1]", "And in London?", "190 euros"),
    FollowUp(
        "How much may a hotel cost a night?",
        "Up to 140 euros a night. [1]",
        "Is breakfast included there?",
        "Breakfast",
    ),
    FollowUp(
        "Which journeys are made by train?",
        "Those of less than 700 kilometres. [1]",
        "When is first class paid for?",
        "four hours",
    ),
    FollowUp("Who approves expensive trips?", "The finance director. [1]", "From what amount on?", "3,000 euros"),
    FollowUp(
        "Who approves expensive trips?",
        "The finance director, Ines Okafor. [1]",
        "And emergency visits?",
        "emergency visit",
    ),
    FollowUp(
        "When are receipts handed in?",
        "Within fourteen days of the return. [1]",
        "Which ones are not needed?",
        "Expenses below 15",
    ),
    FollowUp(
        "When are receipts handed in?",
        "Within fourteen days of the return. [1]",
        "When is the money paid out?",
        "next salary",
    ),
    FollowUp("How long does an on-call shift last?", "One week. [1]", "When does it change hands?", "Wednesday"),
    FollowUp("How long does an on-call shift last?", "One week. [1]", "What do you get for it?", "day of leave"),
    FollowUp("Who is called after ten minutes?", "The second responder. [1]", "And after twenty?", "Tomasz Wilk"),
    FollowUp(
        "What is SEV1?",
        "Measurements are lost, or nobody can sign in. [1]",
        "What about SEV2?",
        "one region is slow",
    ),
    FollowUp(
        "What happens after a SEV1?",
        "A written review within five working days. [1]",
        "What does it name?",
        "names causes",
    ),
    FollowUp("客户的测量数据保存多久？", "保存七年。[1]", "那系统日志呢？", "九十天"),
    FollowUp("客户的测量数据保存多久？", "保存七年。[1]", "备份呢？", "三十五天"),
    FollowUp("数据到期后由谁删除？", "由数据管理员林晓燕执行删除。[1]", "她什么时候做？", "第一个工作日"),
    FollowUp("例外由谁批准？", "由首席安全官书面批准。[1]", "有效期多长？", "最长为一年"),
    FollowUp("新员工有多少天年假？", "二十六天。[1]", "怎么申请？", "提前两周"),
    FollowUp("新员工有多少天年假？", "二十六天。[1]", "没用完的呢？", "转到下一年"),
    FollowUp("第一天去哪里报到？", "三楼前台。[1]", "几点？", "上午九点"),
    FollowUp("每周可以在家办公几天？", "最多三天。[1]", "哪一天必须到岗？", "周二"),
)
